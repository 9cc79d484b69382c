"""Frames, an undisturbed campaign on them, and a record of MLflow for all.

The package is imported inside the fixtures: an import up here would come before jaxtyping's hook.
"""

import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """What may take longest comes first in each half: two processes begin with a half each, and end together."""
    elsewhere = [item for item in items if not item.path.is_relative_to(HERE)]
    ours = sorted((item for item in items if item.path.is_relative_to(HERE)), key=_limit_s, reverse=True)
    items[:] = elsewhere + ours[::2] + ours[1::2]


def _limit_s(item):
    marker = item.get_closest_marker("timeout")
    return 0 if marker is None else marker.args[0]


@pytest.fixture(scope="package", autouse=True)
def one_record(tmp_path_factory):
    """MLflow's database is made once: that takes longer than a round."""
    with pytest.MonkeyPatch.context() as patch:
        record = f"sqlite:///{tmp_path_factory.mktemp('record')}/mlflow.db"
        patch.setenv("MLFLOW_TRACKING_URI", record)
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef" * 4)
        patch.setenv("RAY_worker_niceness", "0")  # beside other tests, workers at a lower one would starve
        patch.setenv("OMP_WAIT_POLICY", "PASSIVE")
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))  # the campaigns change it
        yield record


@pytest.fixture(scope="package")
def campaigns(tmp_path_factory):
    """Runs campaigns on twelve good pictures and four broken ones."""
    from campaigns import Campaigns

    from made_pools import write_pictures
    from semihand.frames.synthetic import SyntheticConfig, generate_frames

    folder = tmp_path_factory.mktemp("chaos")
    frames = generate_frames(SyntheticConfig(domain="target", num_frames=12, seed=11), range(12))
    write_pictures(folder / "pool", frames, 12)
    return Campaigns(folder, folder / "pool")


@pytest.fixture(scope="package")
def under_ray(campaigns):
    """Campaigns of one round, each start with a Ray of its own; takes how long it may be, and its environment."""
    from campaigns import CONTROL, ONE_ROUND, SMALL, Campaigns

    more = {**SMALL, **ONE_ROUND, "cluster.num_cpus": 4, "cluster.object_store_mb": 100}
    return lambda patience_s=600.0, **environment: Campaigns(
        campaigns.folder, campaigns.pool, more, (CONTROL,), environment, patience_s
    )


@pytest.fixture(scope="package")
def undisturbed(campaigns):
    """The campaign as it should end, and the failpoints that it came to on its way."""
    return campaigns.run("undisturbed", trail=True)


@pytest.fixture(scope="package")
def undisturbed_round(campaigns):
    """The same, of one round: what takes longer is compared with it."""
    from campaigns import ONE_ROUND, Campaigns

    return Campaigns(campaigns.folder, campaigns.pool, ONE_ROUND).run("undisturbed-round", trail=True)
