"""The ablation: what each part of the method is worth, on a machine with or without Ray.

config    what a user may say           rows.toml  the rows, each as what it changes
plans     a row's plan, resolved        sets       frames of source and targets, as files
labels    a round's labels, chosen      row        one row: its rounds
results   the table and summary.json    run        every row that is not done
"""
