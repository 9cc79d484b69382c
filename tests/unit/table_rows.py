"""Rows for tests of the tables; every row differs from every other."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from semihand.tables import FRAMES, LABELS, QUARANTINE, Store, content_sha256, frame_id, rows_of, scan


def ids(num: int, first: int = 0) -> list[str]:
    return [frame_id("test", f"picture-{index}.png") for index in range(first, first + num)]


def label_rows(frame_ids: Sequence[str], round: int = 1, labeller: str = "semihand") -> pa.Table:
    num = len(frame_ids)
    seeds = [int(each[:8], 16) for each in frame_ids]
    joints_mm = np.array([np.random.default_rng(seed).normal(0, 50, (21, 3)) for seed in seeds], np.float32)
    joints_mm = joints_mm.reshape(num, 21, 3)
    return rows_of(
        LABELS,
        {
            "frame_id": list(frame_ids),
            "round": [round] * num,
            "labeller": [labeller] * num,
            "subject_id": [f"subject-{seed % 3}" for seed in seeds],
            "model": ["0" * 64] * num,
            "companion_frame_ids": [[f"near-{seed}"] * (seed % 3) for seed in seeds],
            "joints_uv_px": joints_mm[..., :2] + 100,
            "joints_mm": joints_mm,
            "corrected_mm": joints_mm * np.float32(0.5),
            "label_mm": joints_mm * np.float32(0.75),
            "confidence": np.array([seed % 100 / 100 for seed in seeds], np.float32),
            "predicted_error_mm": np.array([seed % 17 for seed in seeds], np.float32),
        },
    )


def frame_rows(num: int) -> pa.Table:
    uv_px = np.random.default_rng(num).uniform(0, 64, (num, 21, 2)).astype(np.float32)
    return rows_of(
        FRAMES,
        {
            "frame_id": ids(num),
            "dataset": ["test"] * num,
            "content_sha256": [content_sha256(str(index).encode()) for index in range(num)],
            "image": [str(index).encode() for index in range(num)],
            "modality": ["rgb"] * num,
            "hand": ["left" if index % 2 else "right" for index in range(num)],
            "supervision": ["2d"] * num,
            "distortion": [[0.1 * index] * 5 if index % 2 else None for index in range(num)],
            "joints_uv_px": uv_px,
        },
    )


def quarantine_rows(frame_ids: Sequence[str], round: int = 1, reason: str = "truncated") -> pa.Table:
    num = len(frame_ids)
    return rows_of(
        QUARANTINE,
        {
            "frame_id": list(frame_ids),
            "uri": [f"/pictures/{each}.png" for each in frame_ids],
            "round": [round] * num,
            "stage": ["label"] * num,
            "reason": [reason] * num,
        },
    )


def labelled(store: Store, **filters: object) -> list[str]:
    """The frames that a reader finds labelled, sorted."""
    return scan(store, "labels").filter(**filters).sort("frame_id").collect()["frame_id"].to_list()
