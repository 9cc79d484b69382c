"""exports/ and rounds/exporting.py: what goes out comes back the same through the readers of each form."""

import contextlib
import io
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import webdataset
from finished_campaigns import (
    IDS,
    NAMES,
    ROWS,
    SIZE_PX,
    UNPLACED,
    finished_campaign,
    label_joints_mm,
    shown_hands,
)
from frames_tables import with_garbage_truth
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from semihand.command_line import read_config
from semihand.frames.decode import decode_picture
from semihand.frames.errors import InputError
from semihand.frames.listing import list_frames
from semihand.frames.options import ListOptions
from semihand.hand.bones import bone_lengths
from semihand.hand.camera import project
from semihand.hand.mano import hand_layer, mirrored, pose_hand, read_hand_model
from semihand.hand.skeleton import JOINT_NAMES, MIDDLE_MCP, PARENTS, WRIST
from semihand.rounds import exporting
from semihand.rounds.exporting import ExportConfig, chosen_labels, export_labels
from semihand.tables import FRAMES, TRUTH_COLUMNS, Store, as_numpy, scan
from sets_of_hands import save_mano

TRUTH = ListOptions(with_truth=True)
FORMATS = ["freihand", "coco", "ho3d", "mano", "webdataset"]
IDS_OF = {frame_id: name for name, frame_id in IDS.items()}
LEFT, LENS, PLACE = "it is a left hand, the form knows right ones only", "its lens", "its place"


def export(where, out, **more):
    given = {"campaign": where, "out": out, "formats": FORMATS} | more
    return export_labels(ExportConfig.model_validate(given), lambda text: None)


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    return Path(finished_campaign(tmp_path_factory.mktemp("made")).folder)


@pytest.fixture(scope="module")
def mano(tmp_path_factory):
    return save_mano(tmp_path_factory.mktemp("mano") / "MANO.npz")


@pytest.fixture(scope="module")
def out(campaign, mano, tmp_path_factory):
    out = tmp_path_factory.mktemp("exports") / "all"
    out.with_name("summary").mkdir()
    summary = export(campaign, out, mano=[mano])
    (out.with_name("summary") / "returned.json").write_text(json.dumps(summary))
    return out


@pytest.fixture(scope="module")
def summary(out):
    return json.loads((out / "summary.json").read_text())


@pytest.fixture(scope="module")
def labels():
    """The labels of the last round by name, in mm."""
    return dict(zip(NAMES, label_joints_mm(shown_hands(), 2).astype(np.float32), strict=True))


def samples(out, form):
    """Which label each sample of a form is."""
    lines = [json.loads(line) for line in (out / form / "samples.jsonl").read_text().splitlines()]
    name_of = {frame_id: name for name, frame_id in IDS.items()}
    return {line["sample"]: name_of[line["frame_id"]] for line in lines}


def by_name(frames, out, form):
    """A form read back, each label's row by its name."""
    names = samples(out, form)
    return {names[str(Path(row["uri"]).relative_to((out / form).resolve()))]: row for row in frames.to_pylist()}


def pinhole(row):
    return np.array([[row["fx"], 0, row["cx"]], [0, row["fy"], row["cy"]], [0, 0, 1]])


def test_the_selected_labels_of_the_last_sealed_round_go_out(out, summary):
    assert (summary["round"], summary["labels"]) == (2, len(ROWS))
    assert summary == json.loads((out.with_name("summary") / "returned.json").read_text())
    selected = {name for name, *_, chosen in ROWS if chosen} - {"gone"}
    assert set(samples(out, "webdataset").values()) == set(samples(out, "coco").values()) == selected
    assert set(samples(out, "freihand").values()) == set(samples(out, "ho3d").values()) == {"jpeg", "png", "inline"}


def test_what_a_form_has_no_room_for_is_counted_and_why(summary):
    for form in ("freihand", "ho3d"):
        left_out = summary[form]["left_out"]
        assert left_out[LEFT] == 3
        assert sum(num for reason, num in left_out.items() if reason.startswith(LENS)) == 1
        assert sum(num for reason, num in left_out.items() if reason.startswith(PLACE)) == len(UNPLACED)
        assert left_out["missing_file"] == 1
        assert summary[form]["samples"] + sum(left_out.values()) == sum(row[4] for row in ROWS)
    assert summary["coco"]["left_out"] == summary["webdataset"]["left_out"] == {"missing_file": 1}


def test_freihand_comes_back_through_our_reader_as_it_went_out(out, mano, labels):
    listing = list_frames(f"freihand:{out / 'freihand'}?version=gs&mano={mano}", TRUTH)
    assert listing.quarantine.num_rows == 0
    rows = by_name(listing.frames, out, "freihand")
    fits = {row["frame_id"]: row for row in pl.read_parquet(out / "mano/mano.parquet").to_dicts()}
    for name in ("jpeg", "png", "inline"):
        row, fit = rows[name], fits[IDS[name]]
        np.testing.assert_array_equal(np.float32(row["joints_mm"]), labels[name])
        np.testing.assert_array_equal(pinhole(row), shown_hands()[NAMES.index(name)].K)
        assert (row["hand"], row["supervision"]) == ("right", "mano")
        np.testing.assert_allclose(row["mano_pose"], fit["mano_pose"], atol=1e-5)
        np.testing.assert_allclose(row["mano_shape"], fit["mano_shape"], atol=1e-5)
        # the form holds no translation: its readers put the fit's base of the middle finger onto the joint
        moved = np.array(fit["mano_translation_mm"]) + labels[name][MIDDLE_MCP] - fit["joints_mm"][MIDDLE_MCP]
        np.testing.assert_allclose(row["mano_translation_mm"], moved, atol=0.05)


def test_freihands_own_tools_put_the_fit_where_the_label_is(out, mano, labels):
    """recover_root and pose_by_root of lmb-freiburg/freihand, utils/model.py at 42eb648, on joint 9."""
    entries = {name: json.loads((out / f"freihand/training_{name}.json").read_text()) for name in ("K", "mano", "xyz")}
    numbers = {int(Path(where).stem): name for where, name in samples(out, "freihand").items()}
    fits = {row["frame_id"]: row for row in pl.read_parquet(out / "mano/mano.parquet").to_dicts()}
    for number, name in numbers.items():
        K, theta = np.array(entries["K"][number]), np.array(entries["mano"][number])
        uv_root, scale = theta[:, 58:60], theta[:, 60:]
        root_m = np.concatenate([uv_root - K[:2, 2], [[0.5 * (K[0, 0] + K[1, 1])]]], 1) / scale
        np.testing.assert_allclose(root_m[0], labels[name][MIDDLE_MCP] / 1000, atol=1e-6)
        pose = theta[0, :48] + np.concatenate([np.zeros(3), read_hand_model(mano).hands_mean])
        np.testing.assert_allclose(pose, fits[IDS[name]]["mano_pose"], atol=1e-5)


def test_ho3d_comes_back_through_our_reader_as_it_went_out(out, labels):
    listing = list_frames(f"ho3d:{out / 'ho3d'}", TRUTH)
    assert listing.quarantine.num_rows == 0
    rows = by_name(listing.frames, out, "ho3d")
    fits = {row["frame_id"]: row for row in pl.read_parquet(out / "mano/mano.parquet").to_dicts()}
    for name in ("jpeg", "png", "inline"):
        row, fit = rows[name], fits[IDS[name]]
        np.testing.assert_array_equal(np.float32(row["joints_mm"]), labels[name])
        np.testing.assert_array_equal(pinhole(row), shown_hands()[NAMES.index(name)].K)
        np.testing.assert_allclose(row["mano_pose"], fit["mano_pose"], atol=1e-5)
        np.testing.assert_allclose(row["mano_shape"], fit["mano_shape"], atol=1e-6)
        moved = np.array(fit["mano_translation_mm"]) + labels[name][WRIST] - fit["joints_mm"][WRIST]
        np.testing.assert_allclose(row["mano_translation_mm"], moved, atol=1e-3)
    assert rows["jpeg"]["subject_id"] == rows["png"]["subject_id"] != rows["inline"]["subject_id"]


def test_ho3ds_pickles_name_nothing_that_an_old_numpy_lacks(out):
    metas = list((out / "ho3d/train").rglob("meta/*.pkl"))
    assert metas
    for path in metas:
        assert b"numpy.core.multiarray" in path.read_bytes()
        assert b"numpy._core" not in path.read_bytes()
        np.testing.assert_array_equal(pickle.loads(path.read_bytes())["camMat"][2], [0, 0, 1])


@pytest.mark.parametrize("form", ["freihand", "ho3d"])
def test_a_pool_of_an_export_has_no_truth(out, form):
    frames = list_frames(f"{form}:{out / form}" + ("?version=gs" if form == "freihand" else ""), ListOptions()).frames
    assert all(frames[name].null_count == frames.num_rows for name in TRUTH_COLUMNS)


def test_pictures_are_the_bytes_that_came_in_wherever_a_form_takes_them(out, campaign):
    kept = {name: (campaign.parent / "pictures" / f"{name}.{kind}").read_bytes()
            for name, kind in (("jpeg", "jpg"), ("png", "png"))}  # fmt: skip
    for form in ("coco", "ho3d", "freihand"):
        found = [
            path.read_bytes() for path in sorted((out / form).rglob("*.jpg")) + sorted((out / form).rglob("*.png"))
        ]
        assert kept["jpeg"] in found
        assert (kept["png"] in found) == (form != "freihand")
    finest = decode_picture(
        (out / "freihand" / {v: k for k, v in samples(out, "freihand").items()}["png"]).read_bytes()
    )
    assert np.abs(finest.astype(int) - decode_picture(kept["png"])).max() <= 3


@pytest.fixture(scope="module")
def coco(out):
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(out / "coco/annotations/hand_keypoints.json"))


def test_pycocotools_reads_both_hands_of_a_picture_and_every_picture(coco, out):
    assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == ["right_hand", "left_hand"]
    of = {coco.anns[number]["frame_id"]: coco.anns[number] for number in coco.getAnnIds()}
    assert of[IDS["jpeg"]]["image_id"] == of[IDS["second hand"]]["image_id"]
    assert len(coco.imgs) == len(of) - 1
    for name, side, *_ in ROWS:
        if IDS[name] in of:
            assert of[IDS[name]]["category_id"] == coco.getCatIds(catNms=[f"{side}_hand"])[0]
    for image in coco.imgs.values():
        with Image.open(out / "coco" / image["file_name"]) as picture:
            assert picture.size == (image["width"], image["height"]) == (SIZE_PX, SIZE_PX)
    category = coco.loadCats([1])[0]
    assert category["keypoints"] == list(JOINT_NAMES)
    assert category["skeleton"] == [[PARENTS[joint] + 1, joint + 1] for joint in range(1, 21)]


def test_cocos_keypoints_are_the_labels_through_their_cameras(coco, labels):
    for annotation in coco.anns.values():
        name = NAMES[list(IDS.values()).index(annotation["frame_id"])]
        hand = shown_hands()[NAMES.index(name)]
        lens = np.array([0.1, -0.05, 0.01, 0.0]) if name == "lens" else None
        expected = project(labels[name].astype(float), hand.K, lens)
        if name in UNPLACED:  # what was seen of it
            expected = hand.uv_px.astype(np.float32) + np.float32(2)
        keypoints = np.reshape(annotation["keypoints"], (21, 3))
        np.testing.assert_allclose(keypoints[:, :2], expected, atol=1e-4)
        inside = ((keypoints[:, :2] >= -0.5) & (keypoints[:, :2] <= SIZE_PX - 0.5)).all(-1)
        np.testing.assert_array_equal(keypoints[:, 2], np.where(inside, 2, 1))


def average_precision(coco, shift_px):
    found = [
        {"image_id": each["image_id"], "category_id": each["category_id"], "score": 1.0,
         "keypoints": (np.reshape(each["keypoints"], (21, 3)) + np.array([shift_px, 0, 0])).ravel().tolist()}
        for each in coco.anns.values()
    ]  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        judge = COCOeval(coco, coco.loadRes(found), "keypoints")
        judge.params.kpt_oks_sigmas = np.full(21, 0.035)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge.stats[0]


def test_cocoeval_finds_the_labels_themselves_perfect_and_moved_ones_not(coco):
    assert average_precision(coco, 0.0) == pytest.approx(1.0)
    assert average_precision(coco, 30.0) < 0.2


def test_webdataset_reads_every_label_with_its_picture(out, labels):
    shards = sorted(str(path) for path in (out / "webdataset").glob("*.tar"))
    found = {
        sample["json"]["frame_id"]: sample
        for sample in webdataset.WebDataset(shards, shardshuffle=False, empty_check=False).decode("rgb8")
    }
    rows = {row["frame_id"]: row for row in labels_rows(out)}
    assert set(found) == {IDS[name] for name in samples(out, "webdataset").values()}
    for name, side, kept, subject, _ in ROWS:
        if IDS[name] not in found:
            continue
        sample = found[IDS[name]]
        json_of, picture = sample["json"], sample.get("jpg", sample.get("png"))
        np.testing.assert_array_equal(np.float32(json_of["joints_mm"]), labels[name])
        assert (json_of["hand"], json_of["subject_id"], json_of["round"]) == (side, subject, 2)
        assert json_of["in_camera_frame"] == (name not in UNPLACED)
        np.testing.assert_array_equal(
            np.float32(json_of["joint_confidence"]), np.float32(rows[IDS[name]]["joint_confidence"])
        )
        assert json_of["joint_weight"] == [0.5] * 21
        if kept != "jpeg":
            assert np.abs(picture.astype(int) - shown_hands()[NAMES.index(name)].picture).max() <= (
                60 if "jpg" in sample else 0
            )


def labels_rows(out):
    campaign = json.loads((out / "summary.json").read_text())["campaign"]
    return scan(campaign, "labels").filter(pl.col("round") == 2).collect().to_dicts()


def test_the_fits_parameters_give_their_joints_through_smplx_on_both_sides(out, mano, labels):
    right = read_hand_model(mano)
    fits = pl.read_parquet(out / "mano/mano.parquet")
    assert set(fits["hand"]) == {"left", "right"}
    for row in fits.to_dicts():
        layer = hand_layer(right if row["hand"] == "right" else mirrored(right))
        pose = torch.tensor([row["mano_pose"]]).float()
        _, joints = pose_hand(layer, pose[:, :3], pose[:, 3:], torch.tensor([row["mano_shape"]]).float(),
                              torch.tensor([row["mano_translation_mm"]]).float())  # fmt: skip
        np.testing.assert_allclose(joints[0], row["joints_mm"], atol=2e-2)
        label = labels[IDS_OF[row["frame_id"]]]
        assert row["residual_mm"] == pytest.approx(np.linalg.norm(joints[0].numpy() - label, axis=-1).mean(), abs=0.02)
        assert row["residual_mm"] < 6
        assert row["in_camera_frame"] == (IDS_OF[row["frame_id"]] not in UNPLACED)


def test_residuals_are_reported_by_subject_and_hand_with_the_shape_that_is_theirs(out):
    fits, subjects = pl.read_parquet(out / "mano/mano.parquet"), pl.read_parquet(out / "mano/subjects.parquet")
    assert subjects["num_labels"].sum() == len(fits)
    for row in subjects.to_dicts():
        mine = fits.filter(pl.col("subject_id").eq_missing(row["subject_id"]), pl.col("hand") == row["hand"])
        assert row["mean_residual_mm"] == pytest.approx(mine["residual_mm"].mean())
        assert len(np.unique(mine["mano_shape"].to_numpy(), axis=0)) == 1


def all_bytes(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_no_truth_of_the_pool_is_in_an_export(campaign, tmp_path):
    """Other truth in the same frames: not a byte of any form changes."""
    copy = shutil.copytree(campaign, tmp_path / "copy")
    frames = scan(copy, "frames").collect().to_arrow()
    shutil.rmtree(copy / "tables/frames")
    store = Store(copy)
    store.create(["frames"])
    typed = frames.select(FRAMES.names).cast(FRAMES)
    store.append("frames", with_garbage_truth(typed))
    assert as_numpy(typed["joints_mm"])[0, 0, 0] != as_numpy(with_garbage_truth(typed)["joints_mm"])[0, 0, 0]
    formats = [*FORMATS, "review"]
    here, there = tmp_path / "here" / "out", tmp_path / "there" / "out"
    export(campaign, here, formats=formats)
    export(copy, there, formats=formats)
    one, other = all_bytes(here), all_bytes(there)
    assert set(one) == set(other)
    for path in one:
        if path.name not in ("summary.json", "README.md"):  # they name the folders
            assert one[path] == other[path], path


def test_a_crop_shows_the_same_label_through_its_own_camera(campaign, tmp_path, labels):
    export(campaign, tmp_path / "crops", formats=["webdataset"], crop_px=48)
    [shard] = (tmp_path / "crops/webdataset").glob("*.tar")
    for sample in webdataset.WebDataset(str(shard), shardshuffle=False, empty_check=False).decode("rgb8"):
        about, name = sample["json"], NAMES[list(IDS.values()).index(sample["json"]["frame_id"])]
        assert sample["png"].shape == (48, 48, 3)
        if name in UNPLACED:
            continue
        lens = None if about["distortion"] is None else np.array(about["distortion"])
        uv_px = project(labels[name].astype(float), np.array(about["camera_matrix"]), lens)
        np.testing.assert_allclose(uv_px, about["joints_uv_px"], atol=1e-3)
        x, y, width, height = about["bbox_px"]
        assert max(width, height) == pytest.approx(48 / 1.2, abs=1e-3)
        assert ((uv_px > [x - 6, y - 6]) & (uv_px < [x + width + 6, y + height + 6])).all()


def test_fits_of_the_hand_made_by_code_come_with_that_hand(campaign, tmp_path):
    export(campaign, tmp_path / "fits", formats=["mano", "freihand"])
    models = [read_hand_model(tmp_path / f"fits/mano/hand_model_{side}.npz") for side in ("right", "left")]
    assert [model.side for model in models] == ["right", "left"]
    lengths = [bone_lengths(model.rest_joints_m[None] * 1000) for model in models]
    np.testing.assert_allclose(*lengths, atol=1e-6)
    # these parameters mean nothing in MANO, so what would be taken for MANO's is not written
    assert not (tmp_path / "fits/freihand/training_mano.json").exists()


def test_confidence_and_selection_are_filters(campaign, tmp_path):
    every = export(campaign, tmp_path / "every", formats=["coco"], all_labels=True)
    assert every["coco"]["samples"] == len(ROWS) - 1
    some = export(campaign, tmp_path / "some", formats=["coco"], all_labels=True, min_confidence=0.7, round=1)
    sure = np.linspace(0.5, 0.9, len(ROWS)) >= 0.7
    assert (some["round"], some["coco"]["samples"]) == (1, sure.sum() - sure[NAMES.index("gone")])


def test_the_command_line_says_forms_models_and_review(tmp_path):
    words = "--campaign c --out o --formats freihand,review --mano a.pkl --mano b.pkl --all_labels --crop_px 224"
    config = read_config(ExportConfig, [*words.split(), "--review.num", "7"], tmp_path, None)
    assert (config.formats, config.mano) == (["freihand", "review"], [Path("a.pkl"), Path("b.pkl")])
    assert (config.all_labels, config.crop_px, config.review.num) == (True, 224, 7)
    with pytest.raises(InputError, match="formats"):
        read_config(ExportConfig, ["--out", "o", "--formats", "yolo"], tmp_path, None)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"round": 7}, r"--round 7 .* There are \[1, 2\]"),
        ({"min_confidence": 0.99}, f"no label of {len(ROWS)} is left"),
        ({"mano": ["/nowhere.pkl"]}, "--mano /nowhere.pkl"),
        ({"campaign": "/nowhere"}, "no campaign here"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(campaign, tmp_path, given, complaint):
    with pytest.raises(InputError, match=complaint):
        export(campaign, tmp_path / "out", **given)
    assert not list(tmp_path.iterdir())


def test_a_round_that_selected_nothing_says_so_and_what_can_be_done(campaign):
    labels = pl.DataFrame({"selected": [False, False], "confidence": [0.2, 0.9]})
    words = {"campaign": campaign, "out": "out", "formats": ["coco"]}
    with pytest.raises(InputError, match=r"selected none of its 2 labels.* --all_labels"):
        chosen_labels(labels, ExportConfig.model_validate(words))
    assert len(chosen_labels(labels, ExportConfig.model_validate(words | {"all_labels": True}))) == 2


def test_a_folder_that_is_there_is_never_written_into(campaign, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="there already"):
        export(campaign, tmp_path / "out")


def test_how_many_pictures_are_in_memory_changes_nothing(campaign, tmp_path, monkeypatch):
    for num in (1, 3, 2048):
        monkeypatch.setattr(exporting, "_AT_ONCE", num)
        export(campaign, tmp_path / f"by {num}", formats=["webdataset"], all_labels=True)
    one, three, all_at_once = (all_bytes(tmp_path / f"by {num}") for num in (1, 3, 2048))
    assert one == three == all_at_once


def test_an_export_that_fails_leaves_nothing(campaign, tmp_path, monkeypatch):
    def fail(*given):
        raise OSError("the disk is full")

    monkeypatch.setattr(exporting.Coco, "finish", fail)
    with pytest.raises(OSError, match="full"):
        export(campaign, tmp_path / "out", formats=["coco"])
    assert not list(tmp_path.iterdir())


def test_what_another_export_left_or_is_at_is_not_removed(campaign, tmp_path):
    (tmp_path / "out.unfinished").mkdir()
    (tmp_path / "out.unfinished/mine.txt").write_text("kept")
    with pytest.raises(InputError, match=r"out\.unfinished is there"):
        export(campaign, tmp_path / "out", formats=["coco"])
    assert (tmp_path / "out.unfinished/mine.txt").read_text() == "kept"


def test_two_models_of_one_side_are_refused(campaign, tmp_path, mano):
    with pytest.raises(InputError, match="one of each side"):
        export(campaign, tmp_path / "out", mano=[mano, mano])


def test_a_box_that_was_drawn_from_the_truth_does_not_go_out(tmp_path):
    store = finished_campaign(tmp_path, rounds=1)
    frames = scan(store, "frames").with_columns(box_source=pl.lit("truth")).collect().to_arrow()
    shutil.rmtree(f"{store.folder}/tables/frames")
    store.create(["frames"])
    store.append("frames", frames)
    with pytest.raises(InputError, match="box_source 'truth'"):
        export(store.folder, tmp_path / "out", formats=["coco"])
