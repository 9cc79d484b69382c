"""Sets as a user gives them, with mistakes put in, and what checking says of them."""

import json

import numpy as np
from frames_tables import as_table, with_column

from semihand.frames.options import ListOptions
from semihand.steps.checking.sets import GivenSet, check_sets
from semihand.tables import as_numpy
from sets_of_hands import save_picture

NUM = 48


def changed(frames, **columns):
    """The frames with some columns exchanged; joints are given as a function of the joints."""
    for name, change in columns.items():
        values = np.asarray(change(as_numpy(frames[name]).astype(np.float64))).tolist() if callable(change) else change
        frames = with_column(frames, name, values)
    return frames


def check(path, frames, role="frames", **options):
    return check_sets([GivenSet(role, role, str(as_table(path, frames)))], ListOptions(**options), False)


def serious(checked):
    """Code to count of all errors and warnings."""
    return {each.code: each.count for each in checked.findings if each.severity != "note"}


def some(change, rows=slice(0, 12)):
    def of(values):
        values[rows] = change(values[rows])
        return values

    return of


def freihand_of(root, hands):
    """A miniature of FreiHAND's first version."""
    for number, hand in enumerate(hands):
        save_picture(root / f"training/rgb/{number:08d}.jpg", hand.picture)
    (root / "training_K.json").write_text(json.dumps([hand.K.tolist() for hand in hands]))
    (root / "training_xyz.json").write_text(json.dumps([(hand.joints_mm / 1000).tolist() for hand in hands]))
    return f"freihand:{root}?version=gs"
