"""A decoding process that was taken over does not stop a video or a manifest: frames/reading.py and manifest.py."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lying_decoder import FOR_EVER, answers, packet
from sample_pictures import picture, write_video

from semihand.frames.errors import BadFrame, InputError
from semihand.frames.limits import STANDARD
from semihand.frames.listing import list_frames
from semihand.frames.manifest import read_pieces
from semihand.frames.options import ListOptions
from semihand.frames.reading import read_pictures

RIGHT = ListOptions(hand="right")
PIXELS = picture(0)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """The frames of a video, and their pictures."""
    frames = list_frames(write_video(tmp_path_factory.mktemp("video") / "clip.mp4", 20), RIGHT).frames
    return frames, dict(read_pictures(frames))


@pytest.mark.parametrize(
    "said",
    [([0, 1], (77, PIXELS)), ([0, 1], (0, PIXELS), (0, PIXELS)), ([0, 1], (0, PIXELS[:2])), ([0, "1"],), (),
     ([],), ([0, 0],), ([0, 77],), ([0, 1], [1, 2]), ([0], (0, PIXELS), [0])],
)  # fmt: skip
def test_a_video_goes_on_after_nonsense(video, taken_over, said):
    frames, whole = video
    taken_over(answers(*said) + packet('["tuple"]'))
    found = dict(read_pictures(frames))
    assert found.keys() == whole.keys()
    lost = [row for row, outcome in found.items() if isinstance(outcome, BadFrame)]
    assert lost
    assert {found[row].reason for row in lost} == {"crashed"}
    for row in found.keys() - {*lost, 0}:
        np.testing.assert_array_equal(found[row], whole[row])


@pytest.mark.parametrize("said", [[0], [], BadFrame("changed", "x")], ids=["a group", "none", "a problem"])
def test_a_process_that_never_comes_to_an_end_is_ended(video, taken_over, said):
    frames, whole = video
    taken_over(answers(said), program=FOR_EVER)
    found = dict(read_pictures(frames))
    assert found.keys() == whole.keys()
    assert {outcome.reason for outcome in found.values() if isinstance(outcome, BadFrame)} <= {"crashed", "changed"}


def _stream(table):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return memoryview(sink.getvalue())


def _no_text():
    offsets = pa.py_buffer(np.array([0, 1], np.int32))
    return pa.table({"uri": pa.Array.from_buffers(pa.string(), 1, [None, offsets, pa.py_buffer(b"\xff")])})


@pytest.mark.parametrize(
    "said",
    [memoryview(b"no stream"), _stream(pa.table({"hand": ["left"]})), _stream(_no_text()), BadFrame("changed", "x")],
    ids=["noise", "other columns", "texts that are none", "a problem of a row"],
)
@pytest.mark.parametrize("in_pieces", [False, True])
def test_a_table_of_nonsense_is_an_error_of_the_manifest(tmp_path, taken_over, monkeypatch, in_pieces, said):
    path = tmp_path / "m.parquet"
    pq.write_table(pa.table({"uri": ["a.png"]}), path)
    monkeypatch.setattr("semihand.frames.manifest.column_names", lambda path, limits: ["uri"])
    taken_over(answers(said) + packet('["tuple"]'))
    with pytest.raises(InputError, match=r"m\.parquet: not readable as Parquet \((crashed|changed): "):
        list(read_pieces(path, ["uri"], 10, STANDARD)) if in_pieces else list_frames(path, RIGHT)


@pytest.mark.parametrize(("num_rows", "why"), [(0, "0 rows"), (11, "11 rows"), (10, "more than 25 rows")])
def test_pieces_of_other_sizes_than_asked_or_beyond_the_limit_are_an_error_of_the_manifest(
    tmp_path, taken_over, num_rows, why
):
    path = tmp_path / "m.parquet"
    pq.write_table(pa.table({"uri": ["a.png"]}), path)
    taken_over(answers(_stream(pa.table({"uri": ["a"] * num_rows}))), program=FOR_EVER)
    with pytest.raises(InputError, match=rf"crashed: .* {why}"):
        list(read_pieces(path, ["uri"], 10, STANDARD.model_copy(update={"max_manifest_rows": 25})))
