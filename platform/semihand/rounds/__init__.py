"""What a round is: its steps, its state, its resume.

config      what a user may say          campaign    the folder that holds everything
ledger      which steps are done         sets        source, pool, calibration and evaluation frames
inputs      what is wrong is refused before anything starts
leakage     whom a campaign is judged by is not among its frames
checking    sets by themselves, before anything is learned
steps       one function per step        record      what MLflow and the page of a round are told
run         the rounds of a campaign     cluster     Ray, joined or started
"""
