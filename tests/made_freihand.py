"""A miniature FreiHAND in the layout of lmb-freiburg/freihand (utils/fh_utils.py at 517e13e)."""

import json

import numpy as np

from sets_of_hands import save_picture


def write_freihand(root, hands, num_evaluation):
    """The hands as training samples in four versions, the last of them again as evaluation pictures without truth."""
    num, evaluation = len(hands), hands[-num_evaluation:]
    for picture in range(4 * num):
        save_picture(root / f"training/rgb/{picture:08d}.jpg", hands[picture % num].picture)
    for sample, hand in enumerate(hands):
        save_picture(root / f"training/mask/{sample:08d}.jpg", np.repeat(hand.mask[..., None] * np.uint8(255), 3, -1))
    for sample, hand in enumerate(evaluation):
        save_picture(root / f"evaluation/rgb/{sample:08d}.jpg", hand.picture)
    dump(root / "training_K.json", [hand.K.tolist() for hand in hands])
    dump(root / "training_xyz.json", [(hand.joints_mm / 1000).tolist() for hand in hands])
    dump(root / "evaluation_K.json", [hand.K.tolist() for hand in evaluation])
    dump(root / "evaluation_scale.json", [0.03] * num_evaluation)
    return root


def dump(path, values):
    """Values as the .json that FreiHAND keeps them in."""
    path.write_text(json.dumps(values))
