"""Who a frame is: an identity that is the same on a laptop and on an object store."""

import hashlib
import json
import unicodedata

ID_LENGTH = 32


def frame_id(
    dataset: str, key: str, video_frame: int | None = None, view_id: str | None = None,
    instance: int | str | None = None,
) -> str:  # fmt: skip
    """Name a hand in a picture by where it stands in its data set, never by where the data set lies.

    Side, box and content are columns, not identity: a corrected box does not make another frame.

    Args:
        dataset: name of the data set.
        key: the picture's or video's path relative to the data set's root; `a\\b` and `a/b`, and the two
            Unicode forms of an accent, are the same key.
        video_frame: index in presentation order; None for a still.
        view_id: the camera; None where there is one.
        instance: the annotated instance, or the index of the detection; None where there is one hand.

    Returns:
        32 hexadecimal digits, the first half of a sha256.

    Raises:
        ValueError: the data set or the key is empty, the key is absolute, or the frame number is negative.
    """
    if not dataset or not key:
        raise ValueError(f"frame_id: dataset {dataset!r} and key {key!r} must not be empty; name both")
    path = unicodedata.normalize("NFC", key.replace("\\", "/"))
    if path.startswith("/"):
        raise ValueError(f"frame_id: key {key!r} is absolute; give it relative to the data set's root")
    if video_frame is not None and video_frame < 0:
        raise ValueError(f"frame_id: video_frame {video_frame} is below 0; count frames from 0")
    # JSON, because joining by a separator would let ("a|b", "c") and ("a", "b|c") meet.
    parts = [dataset, path, video_frame, view_id, None if instance is None else str(instance)]
    text = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:ID_LENGTH]


def hand_id(listed: str, index: int) -> str:
    """Name one of several hands that were found in a picture.

    Args:
        listed: the frame_id that the picture was listed under; the first hand keeps it, so that a picture with one
            hand is the same frame whoever found its box.
        index: of the detection, counted from 0.
    """
    return listed if index == 0 else frame_id("hands", listed, instance=index)


def content_sha256(data: bytes) -> str:
    """The sha256 of these bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
