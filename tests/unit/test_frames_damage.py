"""frames/streams.py and video.py: damaged videos give the frames that are whole, and none that only looks so."""

import av
import numpy as np
import pytest
from sample_pictures import video_picture, write_video

from semihand.frames.damage import has_hole
from semihand.frames.errors import BadFrame, InputError
from semihand.frames.limits import Limits
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.frames.reading import read_pictures
from semihand.frames.video import decode_frames, index_video

CODECS = {
    "open_gop.mp4": {"codec": "libx264"},
    "closed_gop.mp4": {"options": {"g": "12", "bf": "2", "x264-params": "scenecut=0:open-gop=0"}},
    "h264.mkv": {"codec": "libx264"},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"g": "12", "bf": "2"}},
    "mjpeg.avi": {"codec": "mjpeg", "options": {}},
}
NUM = 48


def packets_of(path):
    """Position, size and presentation number of every packet, in decoding order, and whether it is a keyframe."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(container.streams.video[0]) if packet.size]
    times = sorted(packet.pts for packet in packets if packet.pts is not None)
    numbers = [times.index(packet.pts) if packet.pts is not None else place for place, packet in enumerate(packets)]
    return [(p.pos, p.size, n, p.is_keyframe) for p, n in zip(packets, numbers, strict=True)]


def frames_of(path):
    return dict(decode_frames(index_video(path), range(NUM)))


@pytest.fixture(scope="module", params=CODECS)
def video(request, tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / request.param, NUM, **CODECS[request.param])


def damaged(video, place, fill, folder):
    """The video with the middle of one packet overwritten."""
    pos, size, _, _ = packets_of(video)[place]
    data = bytearray(video.read_bytes())
    start = pos + size // 4
    noise = np.random.default_rng(place).bytes(size // 2)
    data[start : start + size // 2] = noise if fill == "noise" else bytes(size // 2)
    path = folder / f"{place}_{video.name}"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("fill", ["noise", "zeros"])
@pytest.mark.parametrize("place", [14, 15, 25])
def test_what_a_damaged_video_gives_is_what_the_whole_one_gives(video, place, fill, tmp_path):
    whole, found = frames_of(video), frames_of(damaged(video, place, fill, tmp_path))
    lost = {number for number, frame in found.items() if isinstance(frame, BadFrame)}
    assert sorted(found) == list(range(NUM))
    assert lost
    for number in set(found) - lost:
        np.testing.assert_array_equal(found[number], whole[number])
    keyframes = [number for _, _, number, is_key in packets_of(video) if is_key]
    hit = packets_of(video)[place][2]
    mended = min((number for number in keyframes if number > hit), default=NUM)
    assert max(lost) < mended  # the next keyframe mends all
    assert {found[number].reason for number in lost} == {"video_frame_missing"}


def test_damage_in_one_intra_coded_frame_touches_no_other(tmp_path):
    video = write_video(tmp_path / "intra.avi", NUM, codec="mjpeg", options={})
    whole = frames_of(video)
    pos, size, _, _ = packets_of(video)[20]
    data = bytearray(video.read_bytes())
    data[pos : pos + size] = bytes(size)
    (tmp_path / "zeros.avi").write_bytes(data)
    found = frames_of(tmp_path / "zeros.avi")
    assert [number for number, frame in found.items() if isinstance(frame, BadFrame)] == [20]
    for number in set(range(NUM)) - {20}:
        np.testing.assert_array_equal(found[number], whole[number])


def test_of_a_file_that_ends_early_the_frames_before_are_given(tmp_path):
    video = write_video(tmp_path / "whole.mkv", NUM)
    listed = list_frames(video, ListOptions(hand="right")).frames["timestamp_s"].to_pylist()
    whole = dict(zip(listed, frames_of(video).values(), strict=True))
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(video.read_bytes()[: packets_of(video)[30][0] + 10])
    frames = list_frames(cut, ListOptions(hand="right")).frames
    assert frames.num_rows == 30
    for row, picture in read_pictures(frames):
        np.testing.assert_array_equal(picture, whole[frames["timestamp_s"][row].as_py()])


@pytest.mark.parametrize(
    ("limits", "reason"),
    [({"max_frames": 20}, "too_many_frames"), ({"max_pixels": 3000}, "too_large|unreadable|video_frame_missing"),
     ({"max_side_px": 60}, "too_large"), ({"max_video_bytes": 500}, "too_large"), ({"max_file_s": 1e-6}, "too_slow"),
     ({"min_side_px": 50}, "too_small")],
)  # fmt: skip
def test_a_video_beyond_a_limit_has_its_reason(tmp_path, limits, reason):
    write_video(tmp_path / "clip.mp4", 24)
    with pytest.raises(InputError, match=rf"1 ({reason})\)"):
        list_frames(tmp_path, ListOptions(hand="right", limits=Limits(**limits)))


def test_how_videos_are_converted_is_counted(tmp_path):
    write_video(tmp_path / "turned.mp4", 3, rotation=90)
    with av.open(str(tmp_path / "deep.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        for index in range(2):
            frame = av.VideoFrame.from_ndarray(video_picture(index), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    listing = list_frames(tmp_path, ListOptions(hand="right"))
    assert listing.conversions == {"turned": 3, "deep": 2}
    assert str(listing) == "5 frames, converted: 3 turned, 2 deep"


def test_a_hole_is_three_zeros_inside_a_unit_and_not_in_a_length():
    unit = bytes(range(1, 80))
    lengths = b"\0\0\0" + bytes([len(unit)])
    assert not has_hole(lengths + unit + lengths + unit, 4)
    assert has_hole(lengths + unit + lengths + unit[:20] + bytes(3) + unit[23:], 4)
    assert not has_hole(lengths + unit[:20] + bytes(2) + unit[22:], 4)
    assert not has_hole(b"\0\0\0\1" + unit + b"\0\0\0\1" + unit, 0)
