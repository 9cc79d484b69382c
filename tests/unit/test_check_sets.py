"""steps/checking: every mistake is named once, with its mend; what is right is not; sets are compared."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from frames_tables import as_table, png, with_column
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sample_pictures import write_folder, write_video

from sample_hands import possible_hands_mm
from semihand.frames.options import ListOptions
from semihand.frames.synthetic import SyntheticConfig, generate_frames
from semihand.hand.camera import intrinsics_matrix, project
from semihand.hand.skeleton import JOINT_ORDERS, reorder_from_semihand
from semihand.steps.checking import across
from semihand.steps.checking.findings import Teller
from semihand.steps.checking.in_space import find_in_space
from semihand.steps.checking.sets import GivenSet, check_sets
from semihand.steps.checking.truth import Truth
from semihand.tables import FRAMES, as_numpy, content_sha256, rows_of
from semihand.tables.rows import take_rows
from sets_of_hands import rendered_hands, save_picture

NUM = 48
OURS = ("freihand", "mediapipe", "coco")
ORDERS = sorted({order.source_index: name for name, order in JOINT_ORDERS.items() if order.is_complete}.values())


@pytest.fixture(scope="module")
def hands():
    """Labelled frames, each of another pose; twelve subjects."""
    config = SyntheticConfig(domain="target", supervision="mano", seed=7, num_frames=NUM, size_px=64, num_subjects=12)
    return generate_frames(config, range(NUM))


def changed(frames, **columns):
    """The frames with some columns exchanged; joints are given as a function of the joints."""
    for name, change in columns.items():
        values = np.asarray(change(as_numpy(frames[name]).astype(np.float64))).tolist() if callable(change) else change
        frames = with_column(frames, name, values)
    return frames


def check(path, frames, role="frames", **options):
    return check_sets([GivenSet(role, role, str(as_table(path, frames)))], ListOptions(**options), False)


def serious(checked):
    """Code to count of all errors and warnings."""
    return {each.code: each.count for each in checked.findings if each.severity != "note"}


def some(change, rows=slice(0, 12)):
    def of(values):
        values[rows] = change(values[rows])
        return values

    return of


def test_what_is_right_is_not_found_wrong(hands, source_frames, tmp_path):
    for number, frames in enumerate((hands, source_frames)):
        pq.write_table(frames, tmp_path / f"{number}.parquet")
        given_set = GivenSet("frames", "frames", str(tmp_path / f"{number}.parquet"))
        checked = check_sets([given_set], ListOptions(), False)
        assert serious(checked) == {}
        [each] = checked.sets
        assert (each.facts["frames"], each.facts["with_joints_mm"]) == (frames.num_rows, frames.num_rows)
        assert each.facts["sizes"] == {f"{64} x {64}": frames.num_rows}


NO_UV = [None] * NUM
FLIP = {"opengl": [1, -1, -1], "backwards": [1, 1, -1], "up": [1, -1, 1], "leftwards": [-1, 1, 1]}
MISTAKES = {
    "metres": ({"joints_mm": lambda mm: mm / 1000}, {"units": NUM}, "multiply them by 1000"),
    "centimetres": ({"joints_mm": lambda mm: mm / 10}, {"units": NUM}, "multiply them by 10"),
    "twice": ({"joints_mm": lambda mm: mm * 1000}, {"units": NUM}, "multiply them by 0.001"),
    "some metres": ({"joints_mm": some(lambda mm: mm / 1000)}, {"units": 12}, "multiply them by 1000"),
    "no unit": ({"joints_mm": lambda mm: mm / 45}, {"units": NUM}, "give millimetres"),
    "left": ({"hand": ["left"] * NUM}, {"mirrored": NUM}, "correct `hand`"),
    "a left": ({"hand": ["left"] + ["right"] * (NUM - 1)}, {"mirrored": 1}, "correct `hand`"),
    "mirrored": ({"joints_mm": lambda mm: mm * FLIP["leftwards"], "joints_uv_px": NO_UV}, {"mirrored": NUM}, "hand"),
    "opengl": ({"joints_mm": lambda mm: mm * FLIP["opengl"]}, {"camera_sign": NUM}, "negate y and z"),
    "opengl, no uv": ({"joints_mm": lambda mm: mm * FLIP["opengl"], "joints_uv_px": NO_UV}, {"camera_sign": NUM},
                      "negate y and z"),
    "backwards, no uv": ({"joints_mm": lambda mm: mm * FLIP["backwards"], "joints_uv_px": NO_UV},
                         {"camera_sign": NUM}, "negate z"),
    "up": ({"joints_mm": lambda mm: mm * FLIP["up"]}, {"camera_sign": NUM}, "negate y"),
    "some leftwards": ({"joints_mm": some(lambda mm: mm * FLIP["leftwards"])}, {"camera_sign": 12}, "negate x"),
    "relative": ({"joints_mm": lambda mm: mm - mm[:, :1]}, {"root_relative": NUM}, "add the root's place"),
    "scrambled": ({"joints_mm": lambda mm: mm[:, np.random.default_rng(3).permutation(21)]},
                  {"joint_order": NUM}, "each base to tip"),
    "another camera": ({name: lambda px: px * 2 for name in ("fx", "fy", "cx", "cy")}, {"projection": NUM},
                       "agree once scaled by 0.5"),
    "shares": ({"joints_uv_px": lambda px: px / 64}, {"normalised_joints": NUM, "projection": NUM}, "multiply them by"),
    "elsewhere": ({"joints_uv_px": some(lambda px: px + 300)}, {"hand_outside": 12, "projection": 12}, "resolution"),
    "corners": ({"box_source": ["given"] * NUM, "bbox_px": lambda box: box + np.array([30, 30, 0, 0])}, {"box": NUM},
                "not two corners"),
    "one for two": ({"subject_id": ["anna"] * NUM, "joints_mm": some(lambda mm: mm * 1.5)}, {"bone_spread": NUM},
                    "several people"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_its_mend(hands, tmp_path, mistake):
    columns, found, way_out = MISTAKES[mistake]
    checked = check(tmp_path / "m", changed(hands, **columns))
    assert serious(checked) == found
    code = next(iter(found))
    [finding] = [each for each in checked.findings if each.code == code]
    assert way_out in finding.way_out
    assert (finding.severity == "error") == (code not in ("box", "bone_spread") and finding.count > 0.02 * NUM)
    assert len(finding.frames) == min(5, finding.count)


@pytest.mark.parametrize(
    "order", [order for order in ORDERS if JOINT_ORDERS[order].names != JOINT_ORDERS["coco"].names]
)
@pytest.mark.parametrize("only_space", [True, False])
def test_joints_in_another_order_are_told_which(hands, tmp_path, order, only_space):
    both = ("joints_mm",) if only_space else ("joints_mm", "joints_uv_px")
    reordered = changed(hands, **dict.fromkeys(both, lambda values: reorder_from_semihand(values, order)))
    checked = check(tmp_path / "m", reordered)
    assert serious(checked) == {"joint_order": NUM}
    assert f"reorder_to_semihand(joints, {checked.findings[0].detail.split(' order of ')[1].split()[0]!r})" in (
        checked.findings[0].way_out
    )
    assert order in checked.findings[0].detail


@given(
    st.sampled_from(ORDERS), st.sampled_from([1, 0.1, 0.001]), st.tuples(*[st.sampled_from([1, -1])] * 3),
    st.booleans(), st.integers(0, 10**6),
)  # fmt: skip
@settings(max_examples=40)
def test_joints_with_several_mistakes_at_once_are_mended_into_what_they_were(order, unit, flip, is_left, seed):
    joints_mm = possible_hands_mm(24, seed) * ([-1, 1, 1] if is_left else [1, 1, 1])
    uv_px = project(joints_mm, intrinsics_matrix(500.0, 510.0, 330.0, 240.0))
    rows = rows_of(FRAMES, {
        "frame_id": [str(row) for row in range(24)], "dataset": ["d"] * 24, "content_sha256": ["c"] * 24,
        "modality": ["rgb"] * 24, "hand": ["left" if is_left else "right"] * 24, "supervision": ["3d"] * 24,
        "intrinsics_source": ["given"] * 24, "fx": [500.0] * 24, "fy": [510.0] * 24, "cx": [330.0] * 24,
        "cy": [240.0] * 24,
    })  # fmt: skip
    wrong_mm, wrong_px = (reorder_from_semihand(values, order) for values in (joints_mm * flip * unit, uv_px))
    truth = Truth(wrong_mm, wrong_px, np.zeros((24, 2), int), np.full(24, is_left), np.full((24, 4), np.nan))
    mended = find_in_space(Teller("set", rows), truth)
    np.testing.assert_allclose(mended.joints_mm, joints_mm, rtol=1e-9)
    wanted = {"joint_order"} if order not in OURS else set()
    wanted |= ({"units"} if unit != 1 else set()) | ({"camera_sign"} if min(flip) < 0 else set())
    assert {each.code for each in mended.findings} == wanted


def test_ids_that_come_again_and_pictures_of_several_names_are_found(hands, tmp_path):
    images, ids = hands["image"].to_pylist(), hands["frame_id"].to_pylist()
    images[5], ids[9] = images[4], ids[8]
    digests = hands["content_sha256"].to_pylist()
    digests[5] = digests[4]
    frames = changed(hands, image=images, content_sha256=digests, frame_id=ids)
    assert serious(check(tmp_path / "m", frames)) == {"duplicate": 1, "repeated_picture": 1}


def test_an_id_that_comes_again_in_another_piece_is_found(hands, tmp_path, monkeypatch):
    monkeypatch.setattr("semihand.frames.pieces.ROWS_PER_PIECE", 10)
    ids = hands["frame_id"].to_pylist()
    ids[40] = ids[2]
    assert serious(check(tmp_path / "m", changed(hands, frame_id=ids))) == {"duplicate": 1}


def test_what_a_round_would_leave_out_is_counted_by_its_reason(tmp_path):
    paths = write_folder(tmp_path / "set", 6)
    paths[1].write_bytes(paths[1].read_bytes()[:200])
    paths[2].write_text("a letter")
    (tmp_path / "set" / "old.gif").write_bytes(b"GIF89a" + bytes(40))
    rows = [{"uri": path.name, "hand": "right"} for path in [*paths, tmp_path / "gone.png", tmp_path / "old.gif"]]
    (tmp_path / "set" / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    checked = check_sets([GivenSet("frames", "frames", str(tmp_path / "set" / "m.jsonl"))], ListOptions(), False)
    found = {each.code: (each.severity, each.count, each.num_checked) for each in checked.findings[:4]}
    assert found == {
        "missing_file": ("error", 1, 8), "not_a_picture": ("error", 1, 8), "truncated": ("error", 1, 8),
        "unsupported_format": ("warning", 1, 8),
    }  # fmt: skip
    assert checked.sets[0].facts["refused"] == dict.fromkeys(found, 1)
    gone = next(each for each in checked.findings if each.code == "missing_file")
    assert gone.frames == ("gone.png",)


def test_a_set_that_cannot_be_listed_costs_the_others_nothing(hands, tmp_path):
    pq.write_table(hands, tmp_path / "m.parquet")
    given_sets = [GivenSet("source", "source", "nowhere"), GivenSet("frames", "frames", str(tmp_path / "m.parquet"))]
    checked = check_sets(given_sets, ListOptions(), False)
    assert [(each.set, each.code) for each in checked.findings if each.severity == "error"] == [("source", "unusable")]
    assert checked.sets[1].looked.rows.num_rows == NUM


def test_a_video_and_a_set_by_name_are_checked_as_all_others(tmp_path):
    write_video(tmp_path / "clip.mp4", 6)
    given_sets = [
        GivenSet("frames", "frames", str(tmp_path / "clip.mp4")),
        GivenSet("source", "source", freihand_of(tmp_path / "FreiHAND", rendered_hands(4))),
    ]
    checked = check_sets(given_sets, ListOptions(hand="right"), False)
    assert serious(checked) == {}
    assert [each.looked.rows.num_rows for each in checked.sets] == [6, 4]
    assert checked.sets[1].facts["with_joints_mm"] == 4


@pytest.fixture(scope="module")
def two_sets(hands, tmp_path_factory):
    """A pool, and a set to be judged by that holds two of its pictures, one of them coded anew, and two subjects."""
    folder = tmp_path_factory.mktemp("two")
    pool = changed(take_rows(hands, np.arange(36)), subject_id=[f"s{row % 12}" for row in range(36)])
    images = [hands["image"][row].as_py() for row in (3, 4, 40, 41)]
    larger = Image.open(io.BytesIO(images[0])).convert("RGB").resize((90, 90), Image.Resampling.BILINEAR)
    images[0] = png(np.asarray(larger))
    judged = changed(
        take_rows(hands, [3, 4, 40, 41]), image=images, subject_id=["s3", "s4", "new", None],
        frame_id=[f"judged {row}" for row in range(4)], content_sha256=[content_sha256(image) for image in images],
    )  # fmt: skip
    as_table(folder / "pool", pool)
    as_table(folder / "judged", judged)
    return folder, pa.concat_tables([pool, judged])


def compare(folder, roles, transductive=False):
    given_sets = [GivenSet(role, role, str(folder / name)) for role, name in roles.items()]
    return check_sets(given_sets, ListOptions(), transductive)


@pytest.mark.parametrize(
    ("role", "transductive", "severities"),
    [("evaluation", False, ("error", "warning")), ("calibration", False, ("error", "warning")),
     ("evaluation", True, ("note", "note")), ("source", False, ("note", "note")),
     ("source_2d", False, ("note", "note"))],
)  # fmt: skip
def test_what_a_pool_shares_with_a_set_that_judges_is_an_error_unless_it_is_meant(
    two_sets, role, transductive, severities
):
    checked = compare(two_sets[0], {"frames": "pool", role: "judged"}, transductive)
    found = {each.code: each for each in checked.findings if " and " in each.set}
    assert {code: each.count for code, each in found.items()} == {
        "shared_subject": 2, "shared_picture": 1, "near_duplicate": 1,
    }  # fmt: skip
    assert found["shared_subject"].frames == ("s3", "s4")
    assert (found["shared_picture"].severity, found["near_duplicate"].severity) == severities
    assert [pair.rows for pair in checked.alike] == [(3, 0)]
    assert checked.alike[0].correlation > 0.95


@pytest.mark.parametrize("judge", ["evaluation", "calibration"])
@pytest.mark.parametrize("transductive", [True, False])
def test_what_is_learned_from_by_joints_in_the_picture_may_not_be_judged_by_either(two_sets, judge, transductive):
    checked = compare(two_sets[0], {"source_2d": "pool", judge: "judged"}, transductive)
    found = {each.code: each.severity for each in checked.findings if " and " in each.set}
    assert found["shared_subject"] == found["shared_picture"] == ("note" if transductive else "error")


def test_of_very_many_pictures_some_are_compared_evenly_and_all_by_their_bytes(two_sets, monkeypatch):
    monkeypatch.setattr("semihand.steps.checking.across.MOST_PAIRS", 4 * 9)
    checked = compare(two_sets[0], {"frames": "pool", "evaluation": "judged"})
    found = {each.code: each for each in checked.findings if " and " in each.set}
    thinned = found["thinned"]
    assert (thinned.severity, thinned.count, thinned.num_checked) == ("note", 36 - 9, 40)
    assert found["shared_picture"].count == 1
    assert {pair.rows[0] for pair in checked.alike} <= set(np.linspace(0, 35, 9).astype(int))


@given(st.integers(0, 400), st.integers(0, 400))
def test_thinned_groups_make_no_more_pairs_than_the_limit_and_a_small_one_stays_whole(num, num_others):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(across, "MOST_PAIRS", 900)
        kept = across._thinned(np.arange(num), np.arange(num_others))
    sizes = [len(rows) for rows in kept]
    assert sizes[0] * sizes[1] <= 900
    assert sizes == [num, num_others] or sizes[0] * sizes[1] > 900 / 2
    assert all(len(np.unique(rows)) == len(rows) for rows in kept)
    assert all(len(rows) == whole for rows, whole in zip(kept, (num, num_others), strict=True) if whole <= 30)


def test_the_splits_of_one_set_are_compared(two_sets, tmp_path):
    splits = ["train"] * 36 + ["test"] * 4
    both = changed(two_sets[1], split=splits, sequence_id=[f"q{row // 30}" for row in range(40)])
    checked = check(tmp_path / "both", both)
    across = {each.code: (each.severity, each.count) for each in checked.findings if " and " in each.set}
    assert across == {
        "shared_picture": ("warning", 1), "shared_sequence": ("note", 1), "near_duplicate": ("warning", 1),
    }  # fmt: skip


def freihand_of(root, hands):
    """A miniature of FreiHAND's first version."""
    for number, hand in enumerate(hands):
        save_picture(root / f"training/rgb/{number:08d}.jpg", hand.picture)
    (root / "training_K.json").write_text(json.dumps([hand.K.tolist() for hand in hands]))
    (root / "training_xyz.json").write_text(json.dumps([(hand.joints_mm / 1000).tolist() for hand in hands]))
    return f"freihand:{root}?version=gs"


def test_a_pool_is_not_refused_for_truth_that_a_round_does_not_read(tmp_path):
    name = freihand_of(tmp_path / "set", rendered_hands(4))
    (tmp_path / "set/training_xyz.json").write_text("[broken")
    of_pool = {"lost_truth", "no_truth", "no_subject", "whole_picture"}
    for role, codes in (("source", {"unusable"}), ("frames", of_pool)):
        checked = check_sets([GivenSet(role, role, name)], ListOptions(), False)
        found = {each.code: each for each in checked.findings}
        assert found.keys() == codes
        assert checked.sets[0].looked.rows.num_rows == (4 if role == "frames" else 0)
        assert checked.counts["errors"] == (role == "source")
    lost = found["lost_truth"]
    assert (lost.severity, lost.count, lost.num_checked) == ("note", 4, 4)
    assert "training_xyz.json" in lost.detail


def test_frames_of_a_pool_with_wrong_truth_are_checked_as_those_without(tmp_path):
    hands = rendered_hands(5)
    name = freihand_of(tmp_path / "set", hands)
    joints = [(hand.joints_mm / 1000).tolist() for hand in hands]
    joints[1] = joints[1][:20]
    joints[2] = [[x - 10, y, z] for x, y, z in joints[2]]  # its box leaves the picture
    (tmp_path / "set/training_xyz.json").write_text(json.dumps(joints))
    (tmp_path / "set/training/rgb/00000003.jpg").unlink()
    evaluation = [each.picture for each in hands[1:2]]
    save_picture(tmp_path / "judge/one.jpg", evaluation[0])
    given_sets = [GivenSet("frames", "frames", name), GivenSet("evaluation", "evaluation", str(tmp_path / "judge"))]
    checked = check_sets(given_sets, ListOptions(hand="right"), False)
    found = {each.code: (each.severity, each.count) for each in checked.findings if each.code != "no_subject"}
    assert found == {
        "missing_file": ("error", 1), "shared_picture": ("error", 1), "lost_truth": ("note", 2),
        "no_truth": ("note", 1), "whole_picture": ("note", 1), "assumed_camera": ("note", 1),
    }  # fmt: skip
    looked = checked.sets[0].looked
    assert len(looked.rows) == len(looked.sizes_px) == len(looked.thumbs) == 4
    assert looked.rows["joints_mm"].null_count == 2
    as_source = check_sets([GivenSet("source", "source", name)], ListOptions(), False)
    assert serious(as_source) == {"bad_truth": 1, "bad_box": 1, "missing_file": 1}


def test_pictures_of_depth_are_an_error_as_rounds_refuse_them(hands, tmp_path):
    modality = ["depth"] * 3 + ["rgb"] * (NUM - 3)
    checked = check(tmp_path / "m", changed(hands, modality=modality))
    assert serious(checked) == {"depth_pictures": 3}
    assert checked.counts["errors"] == 1


def test_an_empty_subject_is_nobody(hands, tmp_path):
    joints_mm = some(lambda mm: mm * 1.5)
    frames = changed(hands, subject_id=[""] * (NUM - 2) + ["anna"] * 2, joints_mm=joints_mm)
    checked = check(tmp_path / "m", frames)
    assert serious(checked) == {}
    assert [each.count for each in checked.findings if each.code == "no_subject"] == [NUM - 2]
    assert [each["subject_id"] for each in checked.sets[0].subjects] == ["anna"]
    assert checked.sets[0].facts["num_subject_id"] == 1
