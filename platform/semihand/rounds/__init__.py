"""What a round is: its steps, its state, its resume.

config      what a user may say          campaign    the folder that holds everything
ledger      which steps are done         sets        source, pool, calibration and evaluation frames
inputs      what is wrong is refused before anything starts
steps       one function per step        record      what MLflow and the page of a round are told
run         the rounds of a campaign     cluster     Ray, joined or started
"""
