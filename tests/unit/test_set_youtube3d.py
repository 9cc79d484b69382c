"""frames/sets/youtube3d.py on a miniature in the layout of snap-research/arielai_youtube_3d_hands (README.md at
2cd7c8d5, load_db.py at b35912f4); joints of a mesh after naoc-1861355/Public_Handpose_Datasets
(YouTube-3D-Hands/normdat.py at 0cc92d7a)."""

import json

import numpy as np
import pytest

from semihand.frames.errors import InputError
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.frames.synthetic.generic_hand import build_generic_hand
from semihand.tables import as_numpy
from sets_of_hands import assert_no_truth, mirrored, rendered_hands, save_mano, save_picture

TRUTH = ListOptions(with_truth=True)
VIDEO = "Raa0vBXA8OQ"
# Our joints at MANO's 16, and the vertices that are fingertips, thumb to little, as smplx lists them
OF_MANO = [0, 5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3]
TIPS = [744, 320, 443, 554, 671]


def mesh_px(hand, seed):
    """778 vertices, the first 16 of them joints, so that a regressor of ones and zeros finds these."""
    rng = np.random.default_rng(seed)
    low, high = hand.uv_px.min(0) - 3, hand.uv_px.max(0) + 3
    vertices = np.c_[rng.uniform(low, high, (778, 2)), rng.normal(0.3, 0.1, 778)]
    vertices[:16, :2], vertices[TIPS, :2] = hand.uv_px[OF_MANO], hand.uv_px[[4, 8, 12, 16, 20]]
    vertices[700, :2], vertices[701, :2] = low, high
    return vertices


@pytest.fixture(scope="module")
def mano(tmp_path_factory):
    """A file of MANO's exact shapes whose first 16 vertices are its joints."""
    hand, rng = build_generic_hand(), np.random.default_rng(3)
    vertices = rng.normal(0, 0.01, (778, 3))
    vertices[:16], vertices[TIPS] = hand.J_regressor @ hand.v_template, hand.rest_joints_m[[4, 8, 12, 16, 20]]
    path = tmp_path_factory.mktemp("mano") / "hand.npz"
    np.savez(
        path, v_template=vertices, f=np.zeros((1538, 3), int), shapedirs=np.zeros((778, 3, 10)),
        posedirs=np.zeros((778, 3, 135)), J_regressor=np.eye(16, 778), weights=np.full((778, 16), 1 / 16),
        kintree_table=np.stack([hand.kintree, np.arange(16)]), hands_components=np.eye(45), hands_mean=hand.hands_mean,
    )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def hands():
    right, left, small = rendered_hands(3)
    return {"right": right, "left": mirrored(left), "small": small}


@pytest.fixture
def val(hands, tmp_path):
    """Two hands of one picture, a picture of half its labelled size, a missing and an unlabelled one."""
    pictures = {0: hands["right"].picture, 15: hands["small"].picture[::2, ::2], 45: hands["left"].picture}
    for frame, picture in pictures.items():
        save_picture(tmp_path / f"youtube/{VIDEO}/video/frames/{frame}.png", picture)
    images = [
        {"name": f"youtube/{VIDEO}/video/frames/{frame}.png", "width": 64, "height": 64, "id": 900 - frame}
        for frame in (0, 15, 30, 45)
    ]
    annotations = [
        {"vertices": mesh_px(hand, seed).tolist(), "is_left": int(side == "left"), "image_id": 900 - frame, "id": seed}
        for seed, (frame, side, hand) in enumerate(
            [(0, "right", hands["right"]), (0, "left", hands["left"]), (15, "right", hands["small"]),
             (30, "right", hands["right"])]
        )
    ]  # fmt: skip
    save_split(tmp_path, "val", images, annotations)
    return tmp_path


def save_split(folder, split, images, annotations):
    text = json.dumps({"images": images, "annotations": annotations})
    (folder / f"youtube_{split}.json").write_text(text)


def test_meshes_become_joints_with_the_users_mano_file(val, hands, mano):
    listing = list_frames(f"youtube3d:{val}?split=val&mano={mano}", TRUTH)
    frames = listing.frames
    assert frames["hand"].to_pylist() == ["right", "left", "right"]
    assert len(set(frames["frame_id"].to_pylist())) == 3
    assert set(frames["supervision"].to_pylist()) == {"2d"}
    assert set(frames["sequence_id"].to_pylist()) == {f"youtube3d/{VIDEO}"}
    uv_px = as_numpy(frames["joints_uv_px"])
    np.testing.assert_allclose(uv_px[0], hands["right"].uv_px, atol=1e-3)
    np.testing.assert_allclose(uv_px[1], hands["left"].uv_px, atol=1e-3)
    np.testing.assert_allclose(uv_px[2], hands["small"].uv_px / 2 - 0.25, atol=1e-3)
    low, high = hands["right"].uv_px.min(0) - 3, hands["right"].uv_px.max(0) + 3
    np.testing.assert_allclose(frames["bbox_px"][0].as_py(), [*low, *(high - low)], atol=1e-3)
    assert listing.quarantine["reason"].to_pylist() == ["missing_file"]


def test_without_mano_a_mesh_gives_a_box_alone(val):
    frames = list_frames(f"youtube3d:{val}?split=val", TRUTH).frames
    assert set(frames["supervision"].to_pylist()) == {"none"}
    assert set(frames["box_source"].to_pylist()) == {"truth"}
    assert frames["joints_uv_px"].null_count == 3


def test_an_unlabelled_pool_has_neither_truth_nor_boxes_from_it(val, mano):
    frames = list_frames(f"youtube3d:{val}?split=val&mano={mano}", ListOptions()).frames
    assert_no_truth(frames)
    assert frames.num_rows == 3


def test_splits_are_their_own_files(val, hands):
    name = "youtube/abc/video/frames/7.png"
    save_picture(val / name, hands["right"].picture)
    for split in ("train", "test"):
        image = {"name": name.replace("abc", split), "width": 64, "height": 64, "id": 1}
        save_picture(val / image["name"], hands["right"].picture)
        hand = {"vertices": mesh_px(hands["right"], 0).tolist(), "is_left": 0, "image_id": 1, "id": 0}
        save_split(val, split, [image], [hand])
    assert list_frames(f"youtube3d:{val}", TRUTH).frames["split"].to_pylist() == ["train"]
    frames = list_frames(f"youtube3d:{val}?split=all", TRUTH).frames
    assert frames["split"].to_pylist() == ["train", "val", "val", "val", "test"]


def test_what_is_wrong_in_one_annotation_is_that_rows_problem(val):
    listed = json.loads((val / "youtube_val.json").read_text())
    listed["annotations"][0]["vertices"] = [[0.0, 0.0, 0.0]] * 777
    listed["annotations"][1]["is_left"] = "yes"
    listed["annotations"][3]["image_id"] = [900]
    listed["images"][1]["width"] = 80
    listed["annotations"].append({**listed["annotations"][2], "image_id": 855, "id": 9})
    (val / "youtube_val.json").write_text(json.dumps(listed))
    listing = list_frames(f"youtube3d:{val}?split=val", TRUTH)
    assert sorted(listing.quarantine["reason"].to_pylist()) == ["bad_row", "bad_row", "bad_truth", "bad_truth"]
    assert listing.frames.num_rows == 1


def test_a_path_outside_and_a_model_of_other_vertices_are_refused(val, tmp_path):
    other = save_mano(tmp_path / "generic.npz")
    with pytest.raises(InputError, match="1214 vertices"):
        list_frames(f"youtube3d:{val}?split=val&mano={other}", TRUTH)
    listed = json.loads((val / "youtube_val.json").read_text())
    listed["images"][0]["name"] = "../youtube/x/video/frames/0.png"
    (val / "youtube_val.json").write_text(json.dumps(listed))
    listing = list_frames(f"youtube3d:{val}?split=val", TRUTH)
    assert sorted(listing.quarantine["reason"].to_pylist()) == ["bad_row", "bad_row", "missing_file"]


@pytest.mark.parametrize("content", ["[]", '{"images": [], "annotations": []}', "{", '{"annotations": [1]}'])
def test_a_list_that_is_none_is_named(tmp_path, content):
    (tmp_path / "youtube_train.json").write_text(content)
    with pytest.raises(InputError, match=r"youtube_train\.json"):
        list_frames(f"youtube3d:{tmp_path}", TRUTH)
