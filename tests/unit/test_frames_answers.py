"""A decoding process that was taken over says what it likes, at the cost of the row that it was at.

frames/line.py, answers.py, and those who ask: worker.py, reading.py, manifest.py.
"""

import os
import socket
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_pictures import picture, write_folder, write_video

from semihand.frames import worker
from semihand.frames.answers import ANSWERS, FILE_TASKS, check_message
from semihand.frames.errors import BadFrame, InputError
from semihand.frames.limits import STANDARD
from semihand.frames.line import Line, copies, new_memory
from semihand.frames.listing import list_frames
from semihand.frames.manifest import read_pieces
from semihand.frames.medium import Medium, VideoIndex
from semihand.frames.messages import written
from semihand.frames.options import ListOptions
from semihand.frames.reading import read_pictures
from semihand.frames.tasks import TASKS
from semihand.frames.worker import each

RIGHT = ListOptions(hand="right")


def index(**other):
    given_ = {"path": Path("a"), "width": 20, "height": 16, "quarter_turns": 0, "num_frames": 2, "times": (0, 1),
              "keyframe_times": (0,), "time_base": Fraction(1, 30), "conversions": ()}  # fmt: skip
    return {**given_, **other}


def medium(**other):
    given_ = {"path": "/a", "key": "a", "content_sha256": 64 * "0", "width": 20, "height": 16, "conversions": ()}
    return {**given_, **other}


def packet(text, sizes=(), buffers=b"", num_bytes=None, num_text=None, num_buffers=None):
    """What `Line.send` would send, or lies about it."""
    body = struct.pack(f"<{len(sizes)}Q", *sizes) + text.encode() + buffers
    given_ = (num_bytes, num_text, num_buffers)
    true = (len(body), len(text.encode()), len(sizes))
    return (
        struct.pack("<QII", *(real if said is None else said for said, real in zip(given_, true, strict=True))) + body
    )


LIES = {
    "a packet of a terabyte": packet("1", num_bytes=2**40),
    "a text longer than its packet": packet("1", num_text=2**31),
    "more buffers than its packet has room for": packet("1", num_buffers=2**32 - 1),
    "buffers that end early": packet("1", [4, 4], b"abc"),
    "buffers that go on": packet("1", [1], b"abc"),
    "no text": packet("\0", num_text=1).replace(b"\0", b"\xff")[:16] + b"\xff",
}


@pytest.mark.parametrize("told", LIES.values(), ids=LIES)
def test_a_packet_that_does_not_fit_itself_is_a_value_error(told):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(told)
        theirs.close()
        with pytest.raises(ValueError, match=r"bytes|codec"):
            Line(ours, most_bytes=2**20).receive(1.0)


@given(st.binary(max_size=40))
def test_whatever_comes_over_the_line_is_a_packet_or_an_end_or_a_value_error(told):
    ours, theirs = socket.socketpair()
    with ours:
        theirs.sendall(told)
        theirs.close()
        try:
            found = Line(ours, most_bytes=2**20).receive(1.0)
        except (ValueError, EOFError):
            return
        assert sum(found.sizes) == sum(map(len, found.buffers or ())) or found.buffers is None


def test_half_a_packet_is_waited_for_no_longer_than_a_whole_one():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for told in (b"", packet("123")[:10], packet("123")[:-1]):
            theirs.sendall(told)
            with pytest.raises(TimeoutError):
                Line(ours).receive(0.05)


def test_shared_memory_is_read_as_far_as_it_goes_and_no_further():
    memory = new_memory()
    with pytest.raises(ValueError, match="4 bytes in a memory of 0"):
        copies(memory, [4], 100)
    os.pwrite(memory, b"abcdefgh", 0)
    first, second = copies(memory, [3, 5], 100)
    os.pwrite(memory, b"--------", 0)
    assert (bytes(first), bytes(second)) == (b"abc", b"defgh")
    for sizes in ([9], [3, 6], [2**63, 2**63], [8, 2**64 - 1]):
        with pytest.raises(ValueError, match="in a memory of 8"):
            copies(memory, sizes, 100)
    os.ftruncate(memory, 2**40)  # which takes no memory
    with pytest.raises(ValueError, match="the limit is 100"):
        copies(memory, [101], 100)
    os.close(memory)


def test_every_task_has_answers_of_its_own():
    assert ANSWERS.keys() == TASKS.keys() > FILE_TASKS
    others = ["a", 7, (1,), [None], {"a": 1}, np.zeros((20, 20), np.float32), np.zeros((2, 2, 3), np.uint8)]
    for task in TASKS:
        check_message((), task, STANDARD)
        for message in ([None], (None, None), "a", *((other,) for other in others)):
            with pytest.raises(ValueError, match=r"no answer|instead of"):
                check_message(message, task, STANDARD)


# A process that says it has started, and after it was asked whatever it is told to; then it waits, or ends.
_TAKEN_OVER = """
import os, socket, struct, sys
line, memory, said, grown, stays = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), *sys.argv[3:]
line.sendall(struct.pack("<QII", 7, 7, 0) + b"started")
line.recv(1)
os.ftruncate(memory, int(grown))
line.sendall(bytes.fromhex(said))
while stays == "stays" and line.recv(2**16):
    pass
"""


@pytest.fixture
def taken_over(monkeypatch):
    """Makes the next decoding process say something of its own; those after it are sound."""
    start = worker._start

    def say(said, grown=0, stays=True, program=_TAKEN_OVER):
        def start_another(line_fd, memory_fd, limits):
            monkeypatch.setattr(worker, "_start", start)
            words = [str(line_fd), str(memory_fd), said.hex(), str(grown), "stays" if stays else "ends"]
            command = [sys.executable, "-I", "-S", "-c", program, *words]
            return subprocess.Popen(command, pass_fds=(line_fd, memory_fd))

        worker.dismiss()
        monkeypatch.setattr(worker, "_start", start_another)

    yield say
    worker.dismiss()


def answers(*values):
    return b"".join(packet(*_parts((value,))) for value in values)


def _parts(value):
    text, buffers = written(value)
    return text, [len(data) for data in buffers], b"".join(buffers)


PIXELS = picture(0)
NONSENSE = {
    "noise": (bytes(range(16, 256)), 0, "the limit is"),
    "a pickle": (packet("cos\nsystem\n(S'touch canary'\ntR."), 0, "Expecting value"),
    "a picture that is elsewhere": (packet('["tuple",["array","|u1",[64,64,3],"C"]]', [64 * 64 * 3]), 0, "memory of 0"),
    "a picture of a terabyte": (packet('["tuple",["array","|u1",[64,64,3],"C"]]', [2**40]), 2**41, "the limit is"),
    "a text": (answers("a picture"), 0, "no answer to 'file_picture'"),
    "a picture of numbers": (answers(PIXELS.astype(float)), 0, "no answer"),
    "a picture that is too small": (answers(PIXELS[:8]), 0, "no answer"),
    "an error of the whole input": (answers(InputError("all of it is wrong")), 0, "no answer"),
    "two at once": (packet(*_parts((PIXELS, PIXELS))), 0, "instead of an answer"),
    "an end at once": (packet('["tuple"]'), 0, "3 items are without an answer"),
}  # fmt: skip


@pytest.mark.parametrize(("said", "grown", "why"), NONSENSE.values(), ids=NONSENSE)
def test_a_process_that_answers_nonsense_costs_the_row_it_was_at(tmp_path, taken_over, monkeypatch, said, grown, why):
    monkeypatch.chdir(tmp_path)
    paths = write_folder(tmp_path, 3)
    taken_over(said, grown)
    first, *others = each("file_picture", [(path,) for path in paths])
    assert isinstance(first, BadFrame)
    assert first.reason == "crashed"
    assert "answers nonsense" in first.detail
    assert why in first.detail
    for row, found in enumerate(others, 1):
        np.testing.assert_array_equal(found, picture(row))
    assert not Path("canary").exists()


def test_answers_before_the_nonsense_and_all_rows_after_it_are_whole(tmp_path, taken_over):
    paths = write_folder(tmp_path, 4)
    taken_over(answers(picture(0), picture(1), None))
    found = list(each("file_picture", [(path,) for path in paths]))
    assert [row for row, answer in enumerate(found) if isinstance(answer, BadFrame)] == [2]
    for row in (0, 1, 3):
        np.testing.assert_array_equal(found[row], picture(row))


def test_more_answers_than_rows_are_nobodys_and_end_the_process(tmp_path, taken_over):
    path = write_folder(tmp_path, 2)[1]
    taken_over(answers(picture(0), picture(0), picture(0)) + packet('["tuple"]'))
    (found,) = each("file_picture", [(path,)])
    np.testing.assert_array_equal(found, picture(0))  # as it said
    (sound,) = each("file_picture", [(path,)])
    np.testing.assert_array_equal(sound, picture(1))


def test_a_process_that_goes_silent_or_ends_in_the_middle_of_an_answer_costs_its_row(tmp_path, taken_over):
    paths = write_folder(tmp_path, 2)
    for stays, reason in ((True, "too_slow"), (False, "crashed")):
        taken_over(answers(picture(0))[:-1], stays=stays)
        first, second = each("file_picture", [(path,) for path in paths], patience_s=1.0 if stays else None)
        assert first.reason == reason
        np.testing.assert_array_equal(second, picture(1))


@pytest.mark.parametrize(
    "said",
    [
        answers(medium(conversions=("grey",))),
        answers(Medium(None, "a.png", 64 * "0", 64, 64, ())),
        answers(Medium("/a", "a.png", 64 * "0", 2**31, 64, ())),
        answers(Medium("/a", "a", 64 * "0", 64, 64, (), VideoIndex(**index(num_frames=2**40, times=())))),
    ],
    ids=["a dict", "no path", "too wide", "too many frames"],
)
def test_a_listing_goes_on_after_nonsense(tmp_path, taken_over, said):
    write_folder(tmp_path, 3)
    taken_over(said)
    listing = list_frames(tmp_path, RIGHT)
    assert str(listing) == "2 frames, 1 quarantined (1 crashed)"


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


_FOR_EVER = """
import contextlib, socket, struct, sys
line = socket.socket(fileno=int(sys.argv[1]))
line.sendall(struct.pack("<QII", 7, 7, 0) + b"started")
line.recv(1)
with contextlib.suppress(BrokenPipeError, ConnectionResetError):
    while True:
        line.sendall(bytes.fromhex(sys.argv[3]))
"""


@pytest.mark.parametrize("said", [[0], [], BadFrame("changed", "x")], ids=["a group", "none", "a problem"])
def test_a_process_that_never_comes_to_an_end_is_ended(video, taken_over, said):
    frames, whole = video
    taken_over(answers(said), program=_FOR_EVER)
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
    taken_over(answers(_stream(pa.table({"uri": ["a"] * num_rows}))), program=_FOR_EVER)
    with pytest.raises(InputError, match=rf"crashed: .* {why}"):
        list(read_pieces(path, ["uri"], 10, STANDARD.model_copy(update={"max_manifest_rows": 25})))
