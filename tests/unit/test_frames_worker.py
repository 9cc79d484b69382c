"""frames/worker.py: what opens strangers' files can hang, crash or run out of memory, at the cost of one row."""

import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from sample_pictures import encode, picture, write_folder, write_video

from semihand.frames import worker
from semihand.frames.errors import BadFrame, InputError
from semihand.frames.limits import STANDARD, Limits
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.frames.reading import read_pictures
from semihand.frames.worker import borrowed, dismiss, each, one

RIGHT = ListOptions(hand="right")
PLATFORM = Path(__file__).resolve().parents[2] / "platform"


@pytest.fixture(autouse=True)
def no_process_stays():
    yield
    dismiss()
    assert processes() == []


def processes():
    """The decoding processes that live."""
    children = psutil.Process().children()
    return [child for child in children if any("worker_process" in word for word in child.cmdline())]


def slow_png(side_px: int) -> bytes:
    """A picture that zlib alone is busy with for a while: one block of it over and over."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = np.random.default_rng(0).integers(0, 4, (64, 1 + 3 * side_px), dtype=np.uint8)
    rows[:, 0] = 4  # Paeth's filter, the slowest
    times = side_px // 64
    deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
    block = deflate.compress(rows.tobytes()) + deflate.flush(zlib.Z_FULL_FLUSH)
    pixels = b"\x78\x01" + times * block + b"\x03\0" + struct.pack(">I", zlib.adler32(times * rows.tobytes()))
    header = struct.pack(">IIBBBBB", side_px, 64 * times, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def assert_neighbours_are_whole(found, bad):
    for row, outcome in found.items():
        if row not in bad:
            np.testing.assert_array_equal(outcome, picture(row))


def test_a_picture_that_keeps_its_decoder_busy_too_long_costs_its_row_alone(tmp_path):
    paths = write_folder(tmp_path, 5)
    paths[2].write_bytes(slow_png(6400))
    frames = list_frames(tmp_path, RIGHT).frames
    began = time.monotonic()
    found = dict(read_pictures(frames, Limits(max_item_s=0.25)))
    assert time.monotonic() - began < 20
    assert found[2].reason == "too_slow"
    assert "max_item_s" in found[2].detail
    assert_neighbours_are_whole(found, {2})
    assert sorted(found) == list(range(5))


@pytest.mark.parametrize("how", [signal.SIGSEGV, signal.SIGKILL])
def test_a_process_that_dies_in_the_middle_costs_one_row_and_says_how(tmp_path, how):
    paths = write_folder(tmp_path, 40)
    paths[7].write_bytes(slow_png(3200))
    frames = list_frames(tmp_path, RIGHT).frames
    found = {}
    for row, outcome in read_pictures(frames):
        found[row] = outcome
        if row == 6:
            os.kill(processes()[0].pid, how)
    assert sorted(found) == list(range(40))
    assert {row: str(bad) for row, bad in found.items() if isinstance(bad, BadFrame)} == {
        7: f"crashed: it ended the process that opened it (signal {how.name})"
    }
    assert_neighbours_are_whole(found, {7})


def test_a_manifest_that_unpacks_beyond_all_memory_ends_its_process_and_not_ours(tmp_path):
    path = tmp_path / "m.parquet"
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 4096), pa.array(["x" * 2**20]))
    pq.write_table(pa.table({"uri": text, "hand": ["left"] * 4096}), path)
    assert path.stat().st_size < 2**21
    before = psutil.Process().memory_info().rss
    with pytest.raises(InputError, match=r"not readable as Parquet|unpacked, the limit"):
        list_frames(path, ListOptions(limits=Limits(max_manifest_bytes=2**22)))
    assert psutil.Process().memory_info().rss < before + 2**27


def test_an_answer_that_never_comes_is_given_up(tmp_path):
    """A process that the kernel itself holds, as one before a dead network disk, is stopped from outside."""
    paths = write_folder(tmp_path, 3)
    paths[1].write_bytes(slow_png(3200))
    one("file_picture", paths[0])  # so that it has started
    with borrowed(STANDARD) as held:
        answers = held.ask("file_picture", [(path,) for path in paths], patience_s=1.0)
        next(answers)
        os.kill(processes()[0].pid, signal.SIGSTOP)
        with pytest.raises(worker.WorkerEnded, match="too_slow: no answer in 1 s"):
            list(answers)


def test_a_reader_that_stops_early_leaves_no_process_in_the_middle(tmp_path):
    frames = list_frames(write_folder(tmp_path, 40)[0].parent, RIGHT).frames
    pictures = read_pictures(frames)
    next(pictures)
    pictures.close()
    assert processes() == []
    assert_neighbours_are_whole(dict(read_pictures(frames)), set())


def test_readers_side_by_side_do_not_mix_their_pictures(tmp_path):
    frames = list_frames(write_folder(tmp_path, 6)[0].parent, RIGHT).frames
    backwards = frames.take(list(range(6))[::-1])
    for (row, ours), (other, theirs) in zip(read_pictures(frames), read_pictures(backwards), strict=True):
        np.testing.assert_array_equal(ours, picture(row))
        np.testing.assert_array_equal(theirs, picture(5 - other))


def test_a_process_that_died_while_it_rested_is_replaced_unnoticed(tmp_path):
    path = write_folder(tmp_path, 1)[0]
    one("file_picture", path)
    (resting,) = processes()
    resting.kill()
    resting.wait()
    np.testing.assert_array_equal(one("file_picture", path), picture(0))


def test_large_and_small_answers_arrive_whole_in_any_order(tmp_path):
    sizes = [(20, 16), (900, 700), (40, 30), (1600, 1200), (900, 700), (64, 64)]
    paths = []
    for index, (width, height) in enumerate(sizes):
        paths.append(tmp_path / f"{index}.png")
        paths[-1].write_bytes(encode(picture(index, width, height)))
    for index, found in enumerate(each("file_picture", [(path,) for path in paths])):
        np.testing.assert_array_equal(found, picture(index, *sizes[index]))


def test_a_process_that_dies_in_a_video_costs_the_frames_that_are_decoded_together(tmp_path):
    path = write_video(tmp_path / "clip.mp4", 40, size=(192, 144))  # a keyframe every 12 frames
    frames = list_frames(path, RIGHT).frames
    whole = dict(read_pictures(frames))
    found = {}
    for row, outcome in read_pictures(frames):
        found[row] = outcome
        if row == 14:
            processes()[0].kill()
    lost = sorted(row for row, outcome in found.items() if isinstance(outcome, BadFrame))
    assert sorted(found) == list(range(40))
    assert {found[row].reason for row in lost} == {"crashed"}
    assert lost == list(range(lost[0], 24))
    assert 15 <= lost[0] <= 17
    for row in set(range(40)) - set(lost):
        np.testing.assert_array_equal(found[row], whole[row])


def test_a_video_that_is_always_too_slow_ends_as_reasons(tmp_path):
    frames = list_frames(write_video(tmp_path / "clip.mp4", 30), RIGHT).frames
    found = dict(read_pictures(frames, Limits(max_item_s=1e-5)))
    assert sorted(found) == list(range(30))
    assert {problem.reason for problem in found.values()} == {"too_slow"}


def test_a_process_that_does_not_start_is_our_error_and_no_frames(tmp_path, monkeypatch):
    path = write_folder(tmp_path, 1)[0]
    monkeypatch.setattr(
        worker, "_start", lambda *given: subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    )
    with pytest.raises(RuntimeError, match=r"does not start \(exit code 3\)"):
        one("file_picture", path)


def test_the_decoding_process_loads_no_library_that_it_does_not_need():
    heavy = {"torch", "pyarrow", "polars", "scipy", "ray"}
    code = f"import semihand.frames.worker_process, sys; print(sorted({heavy} & {{*sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PLATFORM)
    assert done.stdout.strip() == "[]"


def test_the_working_folder_brings_no_modules_of_its_own(tmp_path, monkeypatch):
    path = write_folder(tmp_path, 1)[0]
    canary = tmp_path / "canary"
    for name in ("numpy", "PIL", "av", "semihand"):
        (tmp_path / f"{name}.py").write_text(f"open({str(canary)!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(one("file_picture", path), picture(0))
    assert not canary.exists()


@pytest.mark.parametrize(
    "wrong", [{"max_pixels": 0}, {"max_item_s": -1}, {"min_side_px": 20_000}, {"max_pixels": 100}, {"max_pixel": 7}]
)
def test_limits_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValidationError):
        Limits(**wrong)


def test_a_manifest_beyond_its_limits_is_one_line_of_error(tmp_path):
    pq.write_table(pa.table({"uri": ["a.png"] * 11, "hand": ["left"] * 11}), tmp_path / "m.parquet")
    (tmp_path / "m.jsonl").write_text('{"uri": "a.png", "hand": "left"}\n' * 11)
    for name in ("m.parquet", "m.jsonl"):
        with pytest.raises(InputError, match=r"limit is 10; cut it"):
            list_frames(tmp_path / name, ListOptions(limits=Limits(max_manifest_rows=10)))
    with pytest.raises(InputError, match="the limit is"):
        list_frames(tmp_path / "m.parquet", ListOptions(limits=Limits(max_manifest_bytes=100)))


def test_a_process_that_read_a_manifest_decodes_none_of_its_pictures(tmp_path):
    """What Arrow and polars reserve for a file is never given back, and pictures have less memory than manifests."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 320, 320, 3), dtype=np.uint8)
    images = [encode(each) for each in pixels]
    pq.write_table(pa.table({"image": images, "hand": ["left"] * 40}), tmp_path / "m.parquet")
    listing = list_frames(tmp_path / "m.parquet", ListOptions(limits=Limits(max_pixels=1_000_000)))
    assert str(listing) == "40 frames"


def test_large_pictures_go_a_few_at_a_time():
    drawn = []
    large = ((drawn.append(row) or bytes(30 * 2**20),) for row in range(5))
    found = each("inspect_bytes", large)
    assert next(found).reason == "not_a_picture"
    assert drawn == [0, 1, 2]  # 90 MB, the third beyond 64
    assert {problem.reason for problem in found} == {"not_a_picture"}
    assert drawn == list(range(5))


@pytest.mark.skipif(sys.platform != "linux", reason="others keep no count of the addresses that a process reserves")
def test_only_the_work_itself_is_short_of_memory(tmp_path):
    """Requests and answers come and go without a limit, since nobody's picture is to blame for them."""
    one("file_picture", write_folder(tmp_path, 1)[0])
    (resting,) = processes()
    assert resting.rlimit(psutil.RLIMIT_AS) == psutil.Process().rlimit(psutil.RLIMIT_AS)
