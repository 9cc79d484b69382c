"""rounds/localiser.py: the copy of a localiser in a campaign is whole or not there, swept, and verified."""

import os
import shutil
import signal
import subprocess
import sys

import pytest
import torch

from coloured_hands import localiser_folder
from made_localiser import NETWORK
from semihand.failpoints import VARIABLE, arm
from semihand.methods.localiser.looks import Localiser
from semihand.methods.localiser.weights import LocaliserCard, save_localiser
from semihand.rounds.ledger import Done, Ledger
from semihand.rounds.localiser import check_kept_localiser, check_localiser, keep_localiser, kept_localiser
from semihand.rounds.verifying import damages
from semihand.steps.following import FindConfig
from semihand.tables import Store
from semihand.tables.sweeping import stray_files, sweep

KEEPING = """
import sys
from pathlib import Path
from semihand.rounds.localiser import keep_localiser
keep_localiser(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.mark.parametrize("moment", ["half", "kept"])
def test_who_dies_while_a_localiser_is_copied_leaves_no_copy_and_nothing_that_is_not_swept(tmp_path, moment):
    given, campaign, failpoints = localiser_folder(tmp_path / "given"), tmp_path / "campaign", tmp_path / "failpoints"
    campaign.mkdir()
    failpoints.mkdir()
    arm(failpoints, f"file.model.{moment}")
    command = [sys.executable, "-c", KEEPING, str(given), str(campaign)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), VARIABLE: str(failpoints)}
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    assert kept_localiser(campaign) is None
    keep_localiser(given, campaign)
    sweep(stray_files(campaign, 0.0))
    kept = kept_localiser(campaign)
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == {
        path.name: path.read_bytes() for path in given.iterdir()
    }
    assert list(campaign.iterdir()) == [kept]


def test_a_copy_of_a_localiser_that_is_damaged_gone_or_another_is_found(tmp_path):
    first, second = (save_localiser(seeded(seed), LocaliserCard(network=NETWORK, threshold=0.5), tmp_path / "models")
                     for seed in (1, 2))  # fmt: skip
    campaign = tmp_path / "campaign"
    store = Store(campaign)
    store.create()
    keep_localiser(first, campaign)
    ledger = Ledger(store)
    check_kept_localiser(campaign, ledger)
    ledger.once(0, "ingest", lambda: Done(hashes={"localiser": check_localiser(first, FindConfig())}))
    assert list(damages(campaign)) == []
    shutil.rmtree(campaign / "localiser")
    assert ["holds no localiser" in line for line in damages(campaign)] == [True]
    keep_localiser(second, campaign)
    assert ["not the localiser that looked at the pool" in line for line in damages(campaign)] == [True]
    weights = campaign / "localiser" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    assert ["was changed or damaged" in line for line in damages(campaign)] == [True]


def seeded(seed):
    torch.manual_seed(seed)
    return Localiser(NETWORK)
