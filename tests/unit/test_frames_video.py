"""frames/video.py and reading.py: frames of videos by number, whichever others are asked for."""

import os
from pathlib import Path

import numpy as np
import pytest
from sample_pictures import encode, video_picture, write_video

from semihand.frames.errors import BadFrame, InputError
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.frames.reading import read_pictures
from semihand.frames.video import decode_frames, index_video

RIGHT = ListOptions(hand="right")
CODECS = {
    "h264_open_gop.mp4": {"codec": "libx264"},
    "h264.mkv": {"codec": "libx264"},
    "h264_long_gop.mp4": {"codec": "libx264", "options": {"g": "250", "bf": "3"}},
    "h264_intra_refresh.mp4": {"codec": "libx264", "options": {"x264-params": "intra-refresh=1:keyint=15"}},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"g": "12", "bf": "2"}},
    "vp8.webm": {"codec": "libvpx", "options": {"g": "10"}},
    "mjpeg.avi": {"codec": "mjpeg", "options": {}},
    "h264.ts": {"codec": "libx264"},
}


@pytest.fixture(scope="module", params=CODECS)
def video(request, tmp_path_factory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / request.param, **CODECS[request.param])


def pictures_of(path: Path, numbers: list[int]) -> dict[int, np.ndarray]:
    found = dict(decode_frames(index_video(path), numbers))
    assert not [problem for problem in found.values() if isinstance(problem, BadFrame)]
    return found


def test_a_frame_is_the_picture_that_was_encoded_under_its_number(video):
    found = pictures_of(video, list(range(40)))
    assert sorted(found) == list(range(40))
    originals = np.stack([video_picture(number) for number in range(40)]).astype(float)
    for number, picture in found.items():
        distances = np.abs(originals - picture).mean(axis=(1, 2, 3))
        assert int(distances.argmin()) == number


def test_any_subset_in_any_order_gives_the_same_pictures(video):
    all_of_them = pictures_of(video, list(range(40)))
    rng = np.random.default_rng(7)
    subsets = [[39], [0], [13, 12, 11], [25, 3, 38], *[rng.permutation(40)[:9].tolist() for _ in range(4)]]
    for subset in subsets:
        for number, picture in pictures_of(video, subset).items():
            np.testing.assert_array_equal(picture, all_of_them[number])


def test_listing_counts_the_frames_and_gives_their_times(video):
    frames = list_frames(video, RIGHT).frames
    assert frames["video_frame"].to_pylist() == list(range(40))
    if index_video(video).times:
        times_s = np.array(frames["timestamp_s"].to_pylist())
        np.testing.assert_allclose(np.diff(times_s), 1 / 25, atol=1e-3)
    assert set(frames["sequence_id"].to_pylist()) == {video.name}
    assert len(set(frames["frame_id"].to_pylist())) == 40


def test_every_nth_frame_is_the_same_frame_as_without_a_step(tmp_path):
    path = write_video(tmp_path / "clip.mp4", 20)
    every = list_frames(path, RIGHT).frames
    third = list_frames(path, ListOptions(hand="right", frame_step=3)).frames
    assert third["video_frame"].to_pylist() == [0, 3, 6, 9, 12, 15, 18]
    assert third["frame_id"].to_pylist() == every["frame_id"].to_pylist()[::3]


@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_a_turned_video_comes_upright_in_size_and_pixels(tmp_path, degrees):
    plain = write_video(tmp_path / "plain.mp4", 3)
    turned = write_video(tmp_path / "turned.mp4", 3, rotation=degrees)
    index = index_video(turned)
    upright = np.rot90(pictures_of(plain, [1])[1], degrees // 90)
    np.testing.assert_array_equal(pictures_of(turned, [1])[1], upright)
    assert (index.height, index.width) == upright.shape[:2]


def test_a_video_turned_by_an_odd_angle_is_refused(tmp_path):
    with pytest.raises(BadFrame, match="turned by"):
        index_video(write_video(tmp_path / "askew.mp4", 3, rotation=30))


def test_rows_of_videos_and_pictures_are_each_read_once_in_any_order(tmp_path):
    write_video(tmp_path / "a.mp4", 15)
    write_video(tmp_path / "b.mp4", 14, size=(80, 64))
    frames = list_frames(tmp_path, RIGHT).frames
    whole = dict(read_pictures(frames))
    assert sorted(whole) == list(range(29))
    order = np.random.default_rng(3).permutation(29)
    for row, picture in read_pictures(frames.take(order)):
        np.testing.assert_array_equal(picture, whole[order[row]])


def test_frames_past_the_end_and_broken_videos_have_their_reasons(tmp_path):
    path = write_video(tmp_path / "short.mp4", 5)
    (_, problem), *_ = decode_frames(index_video(path), [99])
    assert problem.reason == "video_frame_missing"
    (tmp_path / "cut.mp4").write_bytes(path.read_bytes()[:300])
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "empty.mp4").write_bytes(b"")
    listing = list_frames(tmp_path, RIGHT)
    assert listing.frames.num_rows == 5
    reasons = {Path(row["uri"]).name: row["reason"] for row in listing.quarantine.to_pylist()}
    assert reasons == {"cut.mp4": "unreadable", "text.mp4": "unreadable", "empty.mp4": "empty_file"}


def test_a_damaged_stretch_costs_its_own_frames_and_the_same_ones_every_time(tmp_path):
    path = write_video(tmp_path / "damaged.mp4", 40)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat")
    middle = start + (data.index(b"moov") - start) // 2
    data[middle : middle + 200] = bytes(200)
    path.write_bytes(bytes(data))
    whole = dict(decode_frames(index_video(path), range(40)))
    assert len(whole) == 40
    assert not isinstance(whole[0], BadFrame)
    assert not isinstance(whole[39], BadFrame)
    for number in (39, 20, 5):
        alone = dict(decode_frames(index_video(path), [number]))[number]
        if isinstance(alone, BadFrame):
            assert str(alone) == str(whole[number])
        else:
            np.testing.assert_array_equal(alone, whole[number])


def test_a_video_that_changed_since_it_was_listed_is_not_read(tmp_path):
    path = write_video(tmp_path / "clip.mp4", 6)
    frames = list_frames(path, RIGHT).frames
    write_video(path, 7)
    assert {problem.reason for _, problem in read_pictures(frames)} == {"changed"}


def test_a_video_without_a_hand_is_an_error_that_names_the_flag(tmp_path):
    with pytest.raises(InputError, match=r"--hand left\|right"):
        list_frames(write_video(tmp_path / "clip.mp4", 3), ListOptions())


def test_the_real_hand_video_reads_alike_in_one_piece_and_in_pieces():
    folder = os.environ.get("SEMIHAND_REAL_DATA")
    if not folder or not (path := Path(folder) / "hand_video" / "human_hand_video.mp4").exists():
        pytest.skip("SEMIHAND_REAL_DATA is not set to a folder with hand_video/human_hand_video.mp4")
    frames = list_frames(path, RIGHT).frames
    assert frames.num_rows == 621
    forward = {row: picture.sum(dtype=np.int64) for row, picture in read_pictures(frames.slice(240, 30))}
    for row in (29, 11, 0):
        ((_, alone),) = read_pictures(frames.slice(240 + row, 1))
        assert alone.shape == (720, 1280, 3)
        assert alone.sum(dtype=np.int64) == forward[row]


def test_a_playlist_or_picture_named_like_a_video_opens_nothing(tmp_path):
    write_video(tmp_path / "real.mp4", 3)
    lines = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nreal.mp4\n#EXT-X-ENDLIST\n"
    (tmp_path / "hls.mp4").write_text(lines)
    (tmp_path / "concat.mp4").write_text("ffconcat version 1.0\nfile real.mp4\n")
    (tmp_path / "picture.mp4").write_bytes(encode(video_picture(1)))
    listing = list_frames(tmp_path, RIGHT)
    assert listing.frames.num_rows == 3
    assert listing.quarantine["reason"].to_pylist() == ["unreadable"] * 3


@pytest.mark.parametrize("name", ["h264_open_gop.mp4", "mpeg4.avi", "vp8.webm"])
def test_mutated_videos_end_in_pictures_or_reasons_and_every_frame_the_same_alone(tmp_path, name):
    data = write_video(tmp_path / name, 20, **CODECS[name]).read_bytes()
    rng = np.random.default_rng(0)
    for attempt in range(15):
        mutated = bytearray(data)
        for start in rng.integers(0, len(data), 3):
            mutated[start : start + 20] = rng.bytes(20)
        path = tmp_path / f"{attempt}_{name}"
        path.write_bytes(mutated[: rng.integers(1, len(data))] if attempt % 4 == 0 else mutated)
        try:
            video = index_video(path)
        except BadFrame:
            continue
        whole = dict(decode_frames(video, range(video.num_frames)))
        assert sorted(whole) == list(range(video.num_frames))
        number = int(rng.integers(video.num_frames))
        alone = dict(decode_frames(video, [number]))[number]
        if isinstance(alone, BadFrame):
            assert str(alone) == str(whole[number])
        else:
            np.testing.assert_array_equal(alone, whole[number])
