"""steps/checking: what is right is not found wrong; what cannot be used is said, and costs the rest nothing."""

import json

import pyarrow.parquet as pq
from checked_sets import NUM, changed, check, freihand_of, serious, some
from sample_pictures import write_folder, write_video

from semihand.frames.options import ListOptions
from semihand.steps.checking.sets import GivenSet, check_sets
from sets_of_hands import rendered_hands, save_picture


def test_what_is_right_is_not_found_wrong(hands, source_frames, tmp_path):
    for number, frames in enumerate((hands, source_frames)):
        pq.write_table(frames, tmp_path / f"{number}.parquet")
        given_set = GivenSet("frames", "frames", str(tmp_path / f"{number}.parquet"))
        checked = check_sets([given_set], ListOptions(), False)
        assert serious(checked) == {}
        [each] = checked.sets
        assert (each.facts["frames"], each.facts["with_joints_mm"]) == (frames.num_rows, frames.num_rows)
        assert each.facts["sizes"] == {f"{64} x {64}": frames.num_rows}


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


def test_pictures_of_depth_are_an_error_as_rounds_refuse_them(hands, tmp_path):
    modality = ["depth"] * 3 + ["rgb"] * (NUM - 3)
    checked = check(tmp_path / "m", changed(hands, modality=modality))
    assert serious(checked) == {"depth_pictures": 3}
    assert checked.counts["errors"] == 1
    assert checked.counts_in_words.startswith("1 error, 0 warnings, ")


def test_an_empty_subject_is_nobody(hands, tmp_path):
    joints_mm = some(lambda mm: mm * 1.5)
    frames = changed(hands, subject_id=[""] * (NUM - 2) + ["anna"] * 2, joints_mm=joints_mm)
    checked = check(tmp_path / "m", frames)
    assert serious(checked) == {}
    assert [each.count for each in checked.findings if each.code == "no_subject"] == [NUM - 2]
    assert [each["subject_id"] for each in checked.sets[0].subjects] == ["anna"]
    assert checked.sets[0].facts["num_subject_id"] == 1


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
