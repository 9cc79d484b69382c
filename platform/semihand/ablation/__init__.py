"""The ablation: what each part of the method is worth, on a machine with or without Ray.

config    what a user may say           rows.toml  the rows, each as what it changes
plans     a row's plan, resolved        sets       frames of source and targets, as files
task      what a process needs          labels     a round's labels, chosen
row       one row: its rounds           run        every row that is not done
children  processes that end with it    results    what is kept, row by row
summary   what the rows amount to       table      the same for people
figure    the same as a picture         report     the files of all three
"""
