"""Labels out: the forms that other tools read, and the review by a person.

samples       a label with its picture, camera and fit: what every form is written from
pictures      the picture's own bytes where a form takes them, else encoded again
forms         what a form is, and the list of what it holds
freihand, coco, ho3d, fits, shards            one form each
label_studio  the hand-off to people, and their corrections read back
"""
