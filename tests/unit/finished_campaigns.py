"""A campaign whose rounds are sealed, small enough to look at: every way that a label can be, once."""

import io
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from frames_tables import png
from PIL import Image

from semihand.hand.bones import bone_lengths
from semihand.steps.label import LABELLER
from semihand.tables import FRAMES, LABELS, SELECTIONS, SUBJECTS, Store, content_sha256, frame_id, rows_of
from sets_of_hands import mirrored, rendered_hands

SIZE_PX = 96
#: name, hand, how its picture is kept, subject, whether it was selected
ROWS = (
    ("jpeg", "right", "jpg", "ada", True),
    ("png", "right", "png", "ada", True),
    ("left", "left", "image", "ada", True),
    ("inline", "right", "image", "bob", True),
    ("left jpeg", "left", "jpg", "bob", True),
    ("lens", "right", "png", None, True),
    ("relative", "right", "png", None, True),
    ("unselected", "right", "png", "bob", False),
    ("second hand", "left", "jpeg", "bob", True),  # in the picture of the first one
    ("gone", "right", "png", "ada", True),
    ("assumed", "right", "png", "bob", True),  # before a camera whose focal length nobody measured
    ("behind", "right", "png", "bob", True),  # half of the label lies behind the camera
)
UNPLACED = ("relative", "assumed", "behind")  # nobody knows where in space they are
NAMES = [row[0] for row in ROWS]
IDS = dict(zip(NAMES, (frame_id("made", name) for name in NAMES), strict=True))


@lru_cache
def shown_hands():
    """The hands as they are in their pictures."""
    hands = rendered_hands(len(ROWS), SIZE_PX)
    hands[NAMES.index("second hand")] = mirrored(hands[0])  # of the mirrored picture, shown in the first one's
    return [mirrored(hand) if row[1] == "left" and row[2] != "jpeg" else hand
            for hand, row in zip(hands, ROWS, strict=True)]  # fmt: skip


def label_joints_mm(hands, round_number):
    """What the labels say: the truth, and off by a few millimetres of their own."""
    rng = np.random.default_rng(round_number)
    joints_mm = np.stack([hand.joints_mm for hand in hands]) + rng.normal(0, 2, (len(hands), 21, 3))
    joints_mm[NAMES.index("behind"), :, 2] -= np.median(joints_mm[NAMES.index("behind"), :, 2])
    return joints_mm


def frames_table(folder, hands):
    rows = []
    for (name, side, kept, subject, _), hand in zip(ROWS, hands, strict=True):
        data, path = png(hand.picture), None
        if kept == "jpg":
            buffer = io.BytesIO()
            Image.fromarray(hand.picture).save(buffer, "JPEG", quality=90)
            data = buffer.getvalue()
        if kept == "jpeg":
            path = folder / f"{NAMES[0]}.jpg"
            data = path.read_bytes()
        elif kept != "image":
            path = folder / f"{name}.{kept}"
            path.write_bytes(data)
        low, high = hand.uv_px.min(0), hand.uv_px.max(0)
        rows.append({
            "frame_id": IDS[name], "dataset": "made", "uri": None if path is None else str(path),
            "image": data if path is None else None, "content_sha256": content_sha256(data), "modality": "rgb",
            "subject_id": subject, "hand": side, "bbox_px": [*(low - 4), *(high - low + 8)], "box_source": "given",
            "sequence_id": None if subject is None else f"{subject}'s video",
            "fx": hand.K[0, 0], "fy": hand.K[1, 1], "cx": hand.K[0, 2], "cy": hand.K[1, 2],
            "intrinsics_source": "assumed" if name == "assumed" else "given",
            "distortion": [0.1, -0.05, 0.01, 0.0] if name == "lens" else None,
            "supervision": "none", "joints_mm": hand.joints_mm.tolist(), "joints_uv_px": hand.uv_px.tolist(),
            "mano_pose": hand.mano_pose.tolist(), "mano_shape": hand.mano_shape.tolist(),
            "mano_translation_mm": hand.mano_translation_mm.tolist(), "mask_png": png(hand.mask * np.uint8(255)),
        })  # fmt: skip
    columns = {name: [row.get(name) for row in rows] for name in rows[0]}
    return rows_of(FRAMES, columns)


def labels_table(hands, round_number):
    num, joints_mm = len(ROWS), label_joints_mm(hands, round_number).astype(np.float32)
    uv_px = np.stack([hand.uv_px for hand in hands]).astype(np.float32)
    roots = [None if row[0] == "relative" else joints[9].tolist() for row, joints in zip(ROWS, joints_mm, strict=True)]
    return rows_of(LABELS, {
        "frame_id": list(IDS.values()), "round": [round_number] * num, "labeller": [LABELLER] * num,
        "subject_id": [row[3] for row in ROWS], "model": [f"{round_number:064d}"] * num,
        "joints_uv_px": uv_px + np.float32(round_number), "joints_mm": joints_mm + np.float32(1),
        "corrected_mm": joints_mm, "label_mm": joints_mm, "root_mm": pa.array(roots, LABELS.field("root_mm").type),
        "joint_confidence": np.linspace(0.1, 0.9, num * 21, dtype=np.float32).reshape(num, 21),
        "confidence": np.linspace(0.5, 0.9, num, dtype=np.float32), "stability": np.arange(num, dtype=np.float32),
        "predicted_error_mm": np.linspace(12, 3, num, dtype=np.float32),
    })  # fmt: skip


def finished_campaign(folder: Path, rounds: int = 2) -> Store:
    """A campaign with so many sealed rounds; one picture is gone since."""
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    hands = shown_hands()
    frames = frames_table(pictures, hands)
    (pictures / "gone.png").unlink()
    store = Store(folder / "campaign")
    store.create()
    store.append("frames", frames)
    lengths = bone_lengths(np.stack([hand.joints_mm for hand in hands])).astype(np.float32)
    for number in range(1, rounds + 1):
        store.append("labels", labels_table(hands, number), number)
        keys = {"frame_id": list(IDS.values()), "round": [number] * len(ROWS), "labeller": [LABELLER] * len(ROWS)}
        chosen = [row[4] for row in ROWS]
        weights = {"weight": np.array(chosen, np.float32), "joint_weight": np.full((len(ROWS), 21), 0.5, np.float32)}
        reasons = {"selected": chosen, "reason": ["made"] * len(ROWS)}
        store.append("selections", rows_of(SELECTIONS, keys | weights | reasons), number)
        subjects = {"subject_id": ["", "ada", "bob"], "round": [number] * 3, "num_frames": [1, 1, 1]}
        store.append("subjects", rows_of(SUBJECTS, subjects | {"bone_mm": lengths[[5, 0, 3]]}), number)
        store.seal(number, [LABELLER], list(IDS.values()))
    return store
