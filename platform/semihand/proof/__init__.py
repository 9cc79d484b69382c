"""The proof of durability: campaigns that are killed, compared with one that is not.

oracle   what must hold of a disturbed campaign     driver   a job that is started again until it is done
killer   deaths of workers, at any time             run      all of it, for so many minutes
"""
