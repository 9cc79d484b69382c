"""jobs/check_frames.py: what it prints, leaves and ends with."""

import io
import json
import re
import runpy
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from frames_tables import as_table, png, with_column
from PIL import Image
from sample_pictures import write_folder

from coloured_hands import FINDER, LEFT, RIGHT, localiser_folder, scene
from semihand.hand.camera import intrinsics_matrix, project
from semihand.report.check_page import _seen
from semihand.steps.checking.looking import Looked
from semihand.steps.checking.sets import CheckedSet, GivenSet
from semihand.tables import as_numpy

JOB = Path(__file__).resolve().parents[2] / "jobs" / "check_frames.py"


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the job with these words; its exit code, what it printed, and its summary where it left one."""

    def go(*words):
        out = tmp_path / "out"
        monkeypatch.setattr(sys, "argv", [str(JOB), *map(str, words), "--out", str(out)])
        monkeypatch.setattr(sys, "path", [*sys.path])
        try:
            runpy.run_path(str(JOB), run_name="__main__")
            code = 0
        except SystemExit as ended:
            code = ended.code
        path = out / "summary.json"
        return code, capsys.readouterr(), json.loads(path.read_text()) if path.is_file() else None

    return go


def in_metres(frames):
    return with_column(frames, "joints_mm", (as_numpy(frames["joints_mm"]) / 1000).tolist())


def test_a_good_set_passes_and_its_page_stands_by_itself(run, source_frames, tmp_path):
    code, printed, summary = run("--source", as_table(tmp_path / "set", source_frames))
    assert code == 0
    assert (summary["passed"], summary["errors"], summary["warnings"]) == (True, 0, 0)
    [found] = summary["sets"]
    assert (found["name"], found["role"], found["frames"]) == ("source", "source", 8)
    assert found["hand"] == {"right": 8}
    assert sum(each["frames"] for each in found["subjects"]) == 8
    assert all(60 < each["palm_mm"] < 120 and each["spread"] < 0.05 for each in found["subjects"])
    assert "source: 8 frames" in printed.out
    page = (tmp_path / "out" / "check.html").read_text()
    assert "data:image/png;base64," in page
    assert re.findall(r"(?:src|href)=[\"'](?!data:)", page) == []
    HTMLParser().feed(page)


def test_errors_end_with_one_and_stand_in_the_summary(run, source_frames, tmp_path):
    pq.write_table(source_frames, tmp_path / "good.parquet")
    pq.write_table(in_metres(source_frames), tmp_path / "bad.parquet")
    code, printed, summary = run("--frames", tmp_path / "good.parquet", "--frames", tmp_path / "bad.parquet")
    assert code == 1
    assert summary["passed"] is False
    [error] = [each for each in summary["findings"] if each["severity"] == "error"]
    assert (error["set"], error["code"], error["count"], error["num_checked"]) == ("frames 2", "units", 8, 8)
    assert error["way_out"] == "multiply them by 1000"
    assert "error: frames 2: units, 8 of 8" in printed.out
    assert "units" in (tmp_path / "out" / "check.html").read_text()


def test_an_evaluation_set_of_the_pools_people_is_an_error_unless_it_is_meant(run, source_frames, tmp_path):
    frames = with_column(source_frames, "subject_id", list("abcdefgh"))
    pool, judge = tmp_path / "pool", as_table(tmp_path / "judge", frames.slice(4, 4))
    words = ("--frames", as_table(pool, frames.slice(0, 4)), "--evaluation", judge)
    assert run(*words)[0] == 0
    same = with_column(frames.slice(4, 4), "subject_id", list("xbcx"))
    as_table(judge, same)
    code, _, summary = run(*words)
    assert code == 1
    assert "shared_subject" in [each["code"] for each in summary["findings"] if each["severity"] == "error"]
    code, _, summary = run(*words, "--transductive")
    assert code == 0
    assert "shared_subject" in [each["code"] for each in summary["findings"] if each["severity"] == "note"]


def test_pictures_alone_are_looked_at_and_what_is_not_said_is_asked_for(run, tmp_path):
    write_folder(tmp_path / "set", 3)
    code, printed, summary = run("--frames", tmp_path / "set", "--hand", "right")
    assert code == 0
    assert [each["code"] for each in summary["findings"]] == [
        "no_subject", "whole_picture", "assumed_camera", "no_truth"
    ]  # fmt: skip
    said = ("--box", "8,8,40,40", "--intrinsics", "90,90,31.5,31.5")
    _, _, summary = run("--frames", tmp_path / "set", "--hand", "right", *said)
    assert [each["code"] for each in summary["findings"]] == ["no_subject", "no_truth"]
    _, _, summary = run("--frames", tmp_path / "set", "--hand", "right", *said, "--subject_id", "anna")
    assert [each["code"] for each in summary["findings"]] == ["no_truth"]
    code, printed, summary = run("--frames", tmp_path / "set")
    assert code == 1
    assert "pass --hand left|right" in summary["findings"][0]["detail"]
    code, printed, _ = run()
    assert code == 2
    assert printed.err.startswith("error: there is nothing to check: give --frames")


def test_the_job_takes_a_localiser_for_frames_alone(run, tmp_path, monkeypatch):
    monkeypatch.setattr("semihand.rounds.localiser.HandFinder", FINDER)
    localiser, pool = localiser_folder(tmp_path / "given"), tmp_path / "pool"
    pool.mkdir()
    for name, blocks in {"both": [(RIGHT, 5, 5, 20, 20), (LEFT, 60, 40, 20, 24)], "none": []}.items():
        (pool / f"{name}.png").write_bytes(png(scene(*blocks)))
    code, printed, summary = run("--frames", pool, "--localiser", localiser)
    assert code == 0
    assert "warning: frames: no_hand, 1 of 2" in printed.out
    assert summary["sets"][0]["found_hands"] == {"right": 1, "left": 1}
    page = (tmp_path / "out" / "check.html").read_text()
    assert "hands that the localiser found in blue" in page
    assert run("--frames", pool, "--localiser", localiser, "--find.min_score", "0.95")[0] == 1
    code, printed, _ = run("--source", pool, "--localiser", localiser)
    assert (code, printed.err.count("\n")) == (2, 1)
    assert "goes with --frames" in printed.err
    code, printed, _ = run("--frames", pool, "--localiser", tmp_path)
    assert code == 2
    assert "is no localiser that can be read" in printed.err


def test_the_page_shows_frames_with_findings_and_pairs_that_are_alike(run, source_frames, tmp_path):
    images = [Image.open(io.BytesIO(data)).convert("RGB") for data in source_frames["image"].to_pylist()]
    pictures = [np.asarray(image.resize((80, 80))) for image in images]
    anew = with_column(in_metres(source_frames), "image", [png(each) for each in pictures])
    anew = anew.drop_columns(["content_sha256", "frame_id"])
    one = as_table(tmp_path / "one", source_frames)
    pq.write_table(anew, tmp_path / "two.parquet")
    _, _, summary = run("--frames", one, "--frames", tmp_path / "two.parquet")
    assert {"units", "near_duplicate"} <= {each["code"] for each in summary["findings"]}
    page = (tmp_path / "out" / "check.html").read_text()
    assert page.index("<h2>Near duplicates</h2>") < page.index("<h2>frames 1</h2>") < page.index("frames with findings")
    assert page.count("data:image/png;base64,") == 4


def test_pictures_that_a_reader_makes_are_on_the_page(run, tmp_path):
    folder = tmp_path / "msra/P0/TIP"
    folder.mkdir(parents=True)
    for number, (left, top) in enumerate([(10, 20), (150, 90)]):
        depth_mm = np.linspace(400, 450, 50 * 40).astype("<f4")
        header = np.array([320, 240, left, top, left + 50, top + 40], "<u4")
        (folder / f"{number:06d}_depth.bin").write_bytes(header.tobytes() + depth_mm.tobytes())
    code, printed, summary = run("--frames", f"msra15:{tmp_path / 'msra'}")
    assert code == 1
    assert {"depth_pictures", "lost_truth"} <= {each["code"] for each in summary["findings"]}
    assert "note: frames: lost_truth, 2 of 2:" in printed.out
    page = (tmp_path / "out" / "check.html").read_text()
    assert page.count("data:image/png;base64,") == 2  # what a finding names, and all over the set
    assert "frames with findings" in page


def test_frames_learned_from_by_their_2d_truth_are_checked_against_those_that_judge(run, source_frames, tmp_path):
    frames = as_table(tmp_path / "frames", source_frames)
    code, _, summary = run("--source_2d", frames, "--evaluation", frames)
    assert code == 1
    assert "shared_picture" in [each["code"] for each in summary["findings"] if each["severity"] == "error"]
    assert run("--source_2d", frames)[0] == 0


def test_the_page_draws_joints_where_the_lens_shows_them(source_frames):
    k1 = np.linspace(-0.3, 0.3, 8)
    lenses = [[float(k), 0.0, 0.0, 0.0] if row else None for row, k in enumerate(k1)]
    frames = with_column(with_column(source_frames, "distortion", lenses), "joints_uv_px", [None] * 8)
    looked = Looked(frames, np.full((8, 2), 64), np.zeros((8, 32, 32), np.uint8), ())
    seen_px = _seen(CheckedSet(GivenSet("s", "source", "p"), looked, {}, []), [5, 0, 7])
    for place, row in enumerate((5, 0, 7)):
        K = intrinsics_matrix(*(frames[name][row].as_py() for name in ("fx", "fy", "cx", "cy")))
        lens = None if lenses[row] is None else np.array(lenses[row])
        joints_mm = as_numpy(frames["joints_mm"])[row].astype(np.float64)
        np.testing.assert_allclose(seen_px[place], project(joints_mm, K, lens), atol=1e-6)
    assert np.abs(seen_px[2] - project(as_numpy(frames["joints_mm"])[7].astype(float), K)).max() > 0.1
