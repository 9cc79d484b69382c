"""Real Ray clusters with and without a guard: which of them a job works on, and what a Ray of its own listens to."""

import os
import subprocess
import sys

import pytest
from servers import ROOT, running_head

TIMEOUT_S = 300
LISTENING = """
import psutil
from semihand.rounds.cluster import connected
from semihand.rounds.config import ClusterConfig

with connected(ClusterConfig(num_cpus=2, object_store_mb=100)):
    import ray
    ray.get(ray.remote(lambda: 1).remote())
    every = [psutil.Process(), *psutil.Process().children(recursive=True)]
    found = [one for each in every for one in each.net_connections("inet") if one.status == "LISTEN"]
    print(len(found), *sorted({one.laddr.ip for one in found}))
"""


@pytest.fixture(scope="module")
def open_head():
    """A cluster that obeys anybody, on loopback."""
    with running_head(token=None) as head:
        yield head


def make_set(head, out, *words, **environment):
    """A job that joins a cluster by RAY_ADDRESS, as one without a submission does."""
    settings = head.environment | {"RAY_ADDRESS": f"127.0.0.1:{head.ports['port']}"} | environment
    command = ["jobs/make_synthetic.py", "--out", str(out), "--set.num_frames", "16", *words]
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
        env={name: value for name, value in settings.items() if value},
    )  # fmt: skip


def test_an_open_cluster_is_refused_until_the_user_says_so(open_head, tmp_path):
    done = make_set(open_head, tmp_path / "set", RAY_AUTH_MODE="")
    assert done.returncode == 2, done.stderr
    [line] = done.stderr.splitlines()
    address = f"127.0.0.1:{open_head.ports['port']}"
    assert line.startswith(f"error: the Ray cluster at {address} obeys anybody")
    assert "--insecure-cluster" in line
    assert not (tmp_path / "set").exists()
    done = make_set(open_head, tmp_path / "set", "--insecure-cluster", RAY_AUTH_MODE="")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2].startswith("16 frames in ")


def test_a_job_submitted_to_an_open_cluster_is_refused(open_head, tmp_path):
    words = ("--working-dir", ".", "--", "python", "jobs/make_synthetic.py", "--out", str(tmp_path / "set"))
    done = open_head.submit("--submission-id", "open", *words, cwd=ROOT, timeout_s=TIMEOUT_S)
    assert done.returncode != 0
    [said] = [line for line in open_head.logs("open") if line.startswith("error:")]
    assert "RAY_AUTH_MODE is 'disabled'" in said
    assert "--insecure-cluster" in said


def test_a_guarded_cluster_takes_who_has_its_token_and_nobody_else(head, tmp_path):
    done = make_set(head, tmp_path / "set", RAY_AUTH_MODE="")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-2].startswith("16 frames in ")
    other = "e" * 64
    done = make_set(head, tmp_path / "other", RAY_AUTH_TOKEN=other)
    assert done.returncode == 2, done.stderr
    [line] = done.stderr.splitlines()
    assert "wants another token than the one here" in line
    assert other not in line


def test_the_token_stands_in_no_log_of_the_cluster(head, tmp_path):
    make_set(head, tmp_path / "set")
    logs = [path for path in head.folder.rglob("*") if path.is_file() and "sockets" not in path.parts]
    assert len(logs) > 5
    assert [path for path in logs if head.token.encode() in path.read_bytes()] == []


def test_a_ray_of_our_own_listens_on_loopback_alone(tmp_path):
    settings = {"RAY_USAGE_STATS_ENABLED": "0", "HOME": str(tmp_path), "RAY_AUTH_MODE": "", "RAY_AUTH_TOKEN": ""}
    environment = {name: value for name, value in (os.environ | settings).items() if value}
    done = subprocess.run(
        [sys.executable, "-c", LISTENING],
        cwd=ROOT / "platform", env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    count, *addresses = done.stdout.split()
    assert int(count) >= 5
    assert {each.removeprefix("::ffff:") for each in addresses} == {"127.0.0.1"}
    assert (tmp_path / ".ray" / "auth_token").stat().st_mode & 0o777 == 0o600
