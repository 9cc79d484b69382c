"""Ray that does not start: slow machines are given another try, all else is told at once."""

import os

import pytest
import ray

from semihand.frames.errors import InputError
from semihand.rounds import cluster
from semihand.rounds.config import ClusterConfig

SLOW = Exception("The current node timed out during startup. This could happen because some of the raylet failed.")


@pytest.fixture
def start(monkeypatch, tmp_path):
    """Takes what each start of Ray raises, None where it succeeds; gives how many there were."""
    starts = []
    for name in ("PYTHONPATH", "RAY_ADDRESS", "OMP_WAIT_POLICY", "RAY_AUTH_MODE", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"):
        monkeypatch.setenv(name, os.environ.get(name, ""))  # put back afterwards
        monkeypatch.delenv(name)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "6" * 64)
    monkeypatch.setattr(cluster, "private_folder", lambda: str(tmp_path))
    monkeypatch.setattr(cluster, "preflight", lambda config, machines: None)
    monkeypatch.setattr(cluster, "machines", list)

    def run(*raised):
        def init(**options):
            starts.append(options)
            if raised[len(starts) - 1] is not None:
                raise raised[len(starts) - 1]

        monkeypatch.setattr(ray, "init", init)
        with cluster.connected(ClusterConfig()):
            pass
        return len(starts)

    return run


def test_a_start_that_took_too_long_is_tried_again_twice(start, caplog):
    assert start(SLOW, SLOW, None) == 3
    assert caplog.text.count("it is started again") == 2


def test_the_third_of_them_is_told(start):
    with pytest.raises(Exception, match="timed out during startup"):
        start(SLOW, SLOW, SLOW, None)


def test_what_ray_cannot_be_given_is_named_with_its_options(start):
    with pytest.raises(InputError, match=r"object_store_mb 512: .*minimum allowed is 78643200 bytes.* Change"):
        start(ValueError("Attempting to cap object store memory usage; the minimum allowed is 78643200 bytes."))


def test_another_error_is_told_at_once(start):
    with pytest.raises(ConnectionError, match="no route"):
        start(ConnectionError("no route"), None)
