"""semihand: unlabelled hand video in, 3D hand-pose labels you can trust and a model that learned from them out.

The flow of a round::

    frames -> label -> correct -> select -> train -> evaluate -> promote -> the next round's teacher

The rooms, from the ground up; each imports only what stands above it in this list:

    reasons   the closed lists of why a frame is refused and how a picture is converted
    hand      the hand itself: skeleton, camera, bones, registration, MANO, metrics
    tables    Arrow schemas and the Delta store
    frames    where frames come from: readers, safe decoding, crops, the synthetic hand
    methods   one room per published method: network, losses, labeller, objective
    steps     label, correct, select, train, evaluate: one file each, without Ray
    stages    the same steps spread over a cluster by Ray
    tracking  MLflow, and nothing else knows it
    report    figures and the page of a round
    rounds    what a round is: its steps, state and resume
    command_line  recipes, arguments and one-line errors of the jobs

This module imports nothing.
"""
