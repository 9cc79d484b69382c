"""The jobs as a user types them: what they say when something is wrong, and that they say little otherwise."""

import json
import os
import re
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image
from servers import ROOT

TIMEOUT_S = 180


def run(job, *words, **environment):
    return subprocess.run(
        [sys.executable, str(ROOT / "jobs" / job), *map(str, words)],
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1", **environment},
        capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip


def manifest(path, **row):
    Image.new("RGB", (64, 64), (90, 60, 30)).save(path.with_name("a.png"))
    path.write_text(json.dumps({"uri": "a.png", **row}) + "\n")
    return path


def mistakes(folder):
    """Arguments with one mistake each, and what the error must name: option or key, value, way out."""
    (folder / "odd.toml").write_text("[train]\nnum_stepz = 3\n")
    (folder / "pictures").mkdir()
    Image.new("RGB", (64, 64)).save(folder / "pictures" / "a.png")
    lens = {"hand": "right", "fx": -500.0, "fy": 500.0, "cx": 32.0, "cy": 32.0}
    return {
        "a missing path": (["--frames", folder / "nowhere"], [str(folder / "nowhere"), "give a manifest"]),
        "an unknown key": (["--recipe", folder / "odd.toml"], ["'train.num_stepz'", "Remove it"]),
        "an unknown recipe": (["--recipe", "tinny"], ["tinny", "laptop, proof, tiny"]),
        "a focal length below zero": (["--frames", manifest(folder / "lens.jsonl", **lens)], ["fx", "-500", "px"]),
        "a manifest without hand": (["--frames", manifest(folder / "handless.jsonl")], ["hand", "right"]),
        "pictures without hand": (["--frames", folder / "pictures"], [str(folder / "pictures"), "--hand left|right"]),
        "a batch that workers cannot share": (
            ["--recipe", "tiny", "--cluster.train.num_workers", "3"], ["source_batch is 32", "multiple of 48"],
        ),
        "a source without truth": (
            ["--source", manifest(folder / "bare.jsonl", hand="right")], ["no frame with 3D truth", "joints_mm"],
        ),
        "a teacher that is none": (["--teacher", folder / "pictures"], ["--teacher", str(folder / "pictures")]),
    }  # fmt: skip


NAMES = [
    "a missing path", "an unknown key", "an unknown recipe", "a focal length below zero", "a manifest without hand",
    "pictures without hand", "a batch that workers cannot share", "a source without truth",
    "a teacher that is none",
]  # fmt: skip


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """Every mistake made, two at a time, for most of the seconds go into imports."""
    folder = tmp_path_factory.mktemp("mistakes")
    made = mistakes(folder)
    assert list(made) == NAMES
    with ThreadPoolExecutor(2) as threads:
        ended = threads.map(
            lambda words: run("semihand_round.py", *words, "--campaign", folder / "campaign"),
            [words for words, _ in made.values()],
        )
        results = {name: (done, said) for (name, (_, said)), done in zip(made.items(), ended, strict=True)}
    return results, folder / "campaign"


@pytest.mark.parametrize("name", NAMES)
def test_a_mistake_is_one_line_and_exit_code_2_before_anything_is_made(refused, name):
    results, campaign = refused
    done, said = results[name]
    assert done.returncode == 2, done.stderr
    [line] = done.stderr.splitlines()
    assert line.startswith("error: ")
    for part in said:
        assert part in line
    assert done.stdout == ""
    assert not campaign.exists()


def test_a_job_prints_its_own_lines_and_nothing_of_rays(tmp_path):
    """Without any of the settings that silence Ray in the other tests."""
    out = tmp_path / "set"
    done = run("make_synthetic.py", "--out", out, "--set.num_frames", 40, "--cluster.num_cpus", 2,
               "--cluster.object_store_mb", 200)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    progress, speed, where = done.stdout.splitlines()
    assert progress == "  synthetic-source-single-0: 40 of 40 frames"
    assert speed.startswith("40 frames in ")
    assert str(out) in where


def test_where_no_temporary_file_can_be_written_a_job_says_so(tmp_path):
    def no_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    words = [sys.executable, str(ROOT / "jobs" / "semihand_round.py"), "--recipe=tiny", f"--campaign={tmp_path}/new"]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, preexec_fn=no_files)
    assert ended.returncode == 2, ended.stderr
    assert re.search(r"^error: no temporary file can be written: .*/tmp.*TMPDIR\.$", ended.stderr, re.MULTILINE)
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []
