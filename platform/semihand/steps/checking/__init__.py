"""Check before you learn: what is wrong with frames and their truth, said before anything is learned from it.

findings    what a check says        looking     one pass over a set: rows, sizes, thumbnails, refusals
listed      rows and pictures        truth       units, axes, sides, projection, subjects
ordering    joint order, or no hand     hands       what a localiser finds where nothing says it
likeness    near duplicates          alignment   two thumbnails laid upon one another
sharing     what two sets have in common; rounds ask it, too
across      two groups side by side  sets        all of it
"""
