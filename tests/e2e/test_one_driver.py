"""The round job, started twice, killed, and given numbers that no fit survives: one line, one driver, nothing lost."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from servers import ROOT

SMALL = (
    "--recipe", "tiny", "--cluster.alone", "--data.num_source", 40, "--data.num_target", 8, "--data.num_evaluation", 8,
    "--network.width", 8, "--calibrate.num_frames", 20, "--label.views.num_views", 2, "--select.num_trials", 2,
    "--select.max_label_error_mm", 1000, "--pretrain.source_batch", 16, "--train.num_steps", 2,
    "--train.report_every", 1, "--pretrain.report_every", 1,
)  # fmt: skip
PATIENCE_S = 580


def command(folder, *words):
    return [sys.executable, str(ROOT / "jobs" / "semihand_round.py"), *map(str, (*SMALL, "--campaign", folder, *words))]


def environment():
    return {**os.environ, "OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}


def run(folder, *words):
    return subprocess.run(
        command(folder, *words), env=environment(), capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def contents(folder):
    """Every file below a folder, and its bytes."""
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def error_of(ended):
    """The one line that a job left on stderr."""
    said = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in ended.stderr, ended.stderr
    assert len(said) == 1, ended.stderr
    return said[0]


@pytest.fixture
def first(tmp_path):
    """A driver that was stopped while it pre-trains; gives its process and its folder."""
    folder, log = tmp_path / "campaign", tmp_path / "first.log"
    with log.open("w") as said:
        process = subprocess.Popen(
            command(folder, "--pretrain.num_steps", 10**6), env=environment(), stdout=said, stderr=said
        )
    deadline_s = time.monotonic() + PATIENCE_S
    while not list(folder.glob("fits/*/*.safetensors")):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline_s, log.read_text()
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGSTOP)
    yield process, folder
    process.kill()
    process.wait()


def test_a_second_driver_is_refused_without_a_trace_and_goes_on_when_the_first_was_killed(first):
    process, folder = first
    before = contents(folder)
    second = run(folder, "--pretrain.num_steps", 10**6)
    assert second.returncode == 2, second.stderr
    assert f"driven by process {process.pid} on " in error_of(second)
    other = run(folder, "--pretrain.num_steps", 4)
    assert other.returncode == 2
    assert f"driven by process {process.pid} on " in error_of(other)
    assert contents(folder) == before

    process.kill()
    process.wait()
    third = subprocess.Popen(
        command(folder, "--pretrain.num_steps", 10**6), env=environment(), stdout=subprocess.PIPE, text=True
    )
    try:
        steps = (re.match(r"  step (\d+) of 1000000", line) for line in third.stdout)
        begun_at = next(int(step[1]) for step in steps if step)
    finally:
        third.kill()
        third.wait()
        third.stdout.close()
    kept = max(int(name) for path in before for name in re.findall(r"step-(\d+)-", path))
    assert begun_at > kept > 0
    assert json.loads((folder / "driver.lock").read_text())["pid"] == third.pid


def test_a_fit_that_diverges_is_one_line_that_names_step_and_frames(tmp_path):
    ended = run(tmp_path / "campaign", "--pretrain.num_steps", 8, "--pretrain.learning_rate", "1e30")
    assert ended.returncode == 2, ended.stderr
    said = error_of(ended)
    assert re.search(r"fit campaign-r0-train-\w+: step \d: .* lower train\.learning_rate.* source frames ", said), said
