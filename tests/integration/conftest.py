"""One Ray and one tiny campaign for all tests of this folder.

The package is imported inside the fixtures: an import up here would come before jaxtyping's hook.
"""

import os
from pathlib import Path

import pytest

RECIPES = Path(__file__).resolve().parents[2] / "jobs" / "recipes"
HELPERS = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="package", autouse=True)
def _quiet_environment():
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": "0123456789abcdef" * 4,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # how soon a reported checkpoint counts; 2 by default
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "OMP_WAIT_POLICY": "PASSIVE",  # as the jobs set it: workers that share cores must not spin
        }.items():
            patch.setenv(name, value)
        patch.setenv("PYTHONPATH", str(HELPERS), prepend=os.pathsep)  # Ray's workers import the tests' helpers, too
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


@pytest.fixture(scope="package")
def local_ray(_quiet_environment):
    """Ray on this machine; four CPUs and a GPU by name, however many there are, so that fractions have room.

    It ends with this folder, not with the session: the tests that start clusters of their own come next.
    """
    import ray

    from semihand.rounds.cluster import quieten, use_token

    quieten()
    use_token()
    ray.init(
        address="local", num_cpus=4, num_gpus=1, include_dashboard=False, object_store_memory=200 * 1024**2,
        log_to_driver=False,
    )  # fmt: skip
    yield
    ray.shutdown()


@pytest.fixture(scope="package")
def tiny_config(tmp_path_factory, _quiet_environment):
    """The tiny recipe, with thresholds so loose that the student gets labels from a teacher that knows nothing."""
    from semihand.command_line import read_config
    from semihand.rounds.config import RoundConfig

    campaign = tmp_path_factory.mktemp("campaigns") / "small"
    arguments = {
        "recipe": "tiny", "campaign": campaign, "select.max_label_error_mm": 1000,
        "cluster.train.cpus_per_worker": 1,
    }  # fmt: skip
    words = [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
    return read_config(RoundConfig, words, RECIPES, default=None)


@pytest.fixture(scope="package")
def tiny_summary(tiny_config, local_ray):
    """What the round job of the tiny campaign returns; its folder is `tiny_config.campaign`."""
    from semihand.rounds.run import run_rounds

    return run_rounds(tiny_config)


@pytest.fixture(scope="package")
def tiny_campaign(tiny_config, tiny_summary):
    """The tiny campaign, open, its first round done."""
    from semihand.rounds.campaign import open_campaign

    return open_campaign(tiny_config)


@pytest.fixture(scope="package")
def teacher(tiny_campaign):
    """The model folder of the pre-trained teacher."""
    found = tiny_campaign.ledger.finished(0, "train")
    return Path(found.model_uri)


@pytest.fixture
def one_thread():
    """Sums in this process are added up as in an actor."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def new_store(tmp_path_factory):
    """Makes an empty store, as often as it is called."""
    from semihand.tables import Store

    def make(names=None):
        store = Store(tmp_path_factory.mktemp("store"))
        store.create() if names is None else store.create(names)
        return store

    return make
