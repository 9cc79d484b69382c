"""Who each row is: its id, data set, content, hand, and where it stands in a recording."""

from typing import Any

import pyarrow as pa

from semihand.frames.draft import Draft
from semihand.frames.errors import BadFrame
from semihand.frames.files import resolve_inside
from semihand.frames.medium import Medium
from semihand.frames.options import ListOptions
from semihand.tables.identity import frame_id
from semihand.tables.schemas import FRAMES

_DEFAULTS = {"modality": "rgb", "supervision": "none"}


def fill_identity(draft: Draft, media: list[Medium | None], options: ListOptions) -> Draft:
    """Every column of FRAMES that says who a row is; repeats and impossible values become problems.

    Args:
        draft: the rows.
        media: what each row points to, None where it could not be opened.
        options: data set, hand and subject where rows do not say them.
    """
    draft = _fill_texts(draft, options)
    draft = _fill_content(draft, media)
    draft = _fill_times(draft, media)
    return _fill_ids(draft, media)


def _fill_texts(draft: Draft, options: ListOptions) -> Draft:
    fallback = {
        "dataset": options.dataset or _name_of(draft),
        "hand": options.hand,
        "subject_id": options.subject_id,
        **_DEFAULTS,
    }
    filled = {}
    for name, default in fallback.items():
        values = [default if value is None else value for value in draft.rows[name].to_pylist()]
        filled[name] = pa.array(values, pa.string())
    draft = draft.with_columns(**filled)
    for field in FRAMES:
        allowed = (field.metadata or {}).get(b"values", b"").decode()
        if allowed:
            found_later = field.name == "hand" and options.find_hand
            _note_values(draft, field.name, allowed.split(","), required=not (field.nullable or found_later))
    return draft


def _name_of(draft: Draft) -> str:
    path = draft.folder if draft.source == str(draft.folder) else draft.folder.parent / draft.source
    return path.stem or "frames"


def _note_values(draft: Draft, name: str, allowed: list[str], required: bool) -> None:
    reason = "bad_hand" if name == "hand" else "bad_row"
    for row, value in enumerate(draft.rows[name].to_pylist()):
        if value not in allowed and (required or value is not None):
            detail = f"row {draft.numbers[row]}: {name} is {value!r}, but must be {' or '.join(allowed)}"
            draft.note(row, BadFrame(reason, detail))


def _fill_content(draft: Draft, media: list[Medium | None]) -> Draft:
    """Real paths and content hashes; a hash that the row gives must be the content's."""
    said = draft.rows["content_sha256"].to_pylist()
    uris = draft.rows["uri"].to_pylist()
    backgrounds = draft.rows["background_uri"].to_pylist()
    for row, medium in enumerate(media):
        if medium is None:
            continue
        if said[row] not in (None, medium.content_sha256):
            detail = f"content has sha256 {medium.content_sha256}, but the row says {said[row]}"
            draft.note(row, BadFrame("changed", detail))
        said[row] = medium.content_sha256
        uris[row] = medium.path
        if backgrounds[row] is not None:
            try:
                backgrounds[row] = str(resolve_inside(backgrounds[row], draft.folder, draft.root))
            except BadFrame as problem:
                draft.note(row, BadFrame(problem.reason, f"background_uri: {problem.detail}"))
    return draft.with_columns(
        content_sha256=pa.array(said, pa.string()),
        uri=pa.array(uris, pa.string()),
        background_uri=pa.array(backgrounds, pa.string()),
    )


def _fill_times(draft: Draft, media: list[Medium | None]) -> Draft:
    """Presentation time and sequence of video frames; frames past the end become problems."""
    numbers = draft.rows["video_frame"].to_pylist()
    times_s = draft.rows["timestamp_s"].to_pylist()
    sequences = draft.rows["sequence_id"].to_pylist()
    for row, (medium, number) in enumerate(zip(media, numbers, strict=True)):
        if medium is None or number is None:
            continue
        if medium.video is None:
            detail = f"video_frame is {number}, but the row holds an image; give the video"
            draft.note(row, BadFrame("bad_row", detail))
        elif not 0 <= number < medium.video.num_frames:
            last = medium.video.num_frames - 1
            detail = f"{medium.path} has frames 0 to {last}, not {number}"
            draft.note(row, BadFrame("video_frame_missing", detail))
        else:
            times_s[row] = medium.video.timestamp_s(number) if times_s[row] is None else times_s[row]
            sequences[row] = sequences[row] or medium.key
    return draft.with_columns(timestamp_s=pa.array(times_s, pa.float64()), sequence_id=pa.array(sequences, pa.string()))


def _fill_ids(draft: Draft, media: list[Medium | None]) -> Draft:
    names = ("frame_id", "dataset", "uri", "video_frame", "view_id")
    columns = [draft.rows[name].to_pylist() for name in names]
    seen: dict[str, int] = {}
    ids = []
    for row, (said, dataset, uri, number, view) in enumerate(zip(*columns, strict=True)):
        medium = media[row]
        key = medium.key if medium else (uri or "row").lstrip("/\\") or "row"
        if said == "" or not dataset:
            draft.note(row, BadFrame("bad_row", f"row {draft.numbers[row]}: frame_id or dataset is empty"))
        name = said or frame_id(dataset or "frames", key, _frame_number(number), view)
        if name in seen:
            detail = (f"row {draft.numbers[row]} is the same frame as row {seen[name]}: {key}; "
                      "give each hand of a picture its own frame_id")  # fmt: skip
            draft.note(row, BadFrame("duplicate", detail))
            # Its own id, so that this row in quarantine does not take the first one's place.
            name = frame_id(dataset or "frames", f"{key}/repeats/{name}", instance=int(draft.numbers[row]))
        seen[name] = int(draft.numbers[row])
        ids.append(name)
    return draft.with_columns(frame_id=pa.array(ids, pa.string()))


def _frame_number(number: Any) -> int | None:
    return None if number is None or number < 0 else int(number)
