"""What must hold of a disturbed campaign: it is the undisturbed one, and nothing of the dead is left."""

import json
import re
from collections import Counter
from pathlib import Path

import polars as pl
from mlflow import MlflowClient

from semihand.rounds.ledger import Ledger
from semihand.tables import Store, scan
from semihand.tables.comparing import differences
from semihand.tables.sweeping import stray_files, sweep
from semihand.tracking import CampaignTracker
from semihand.tracking.registry import folder_sha256

_SETS = ("source",)  # made by code, in a store of their own below the campaign
_NAMED_BY_CONTENT = re.compile(r"[0-9a-f]{8,}")
_NOT_OURS = ("tables", "mlartifacts")


def check_same(campaign: Path, undisturbed: Path) -> None:
    """Raise an AssertionError that says what is lost, doubled, different or left behind."""
    sweep(stray_files(campaign, 0.0))
    assert differences(campaign, undisturbed) == []
    for name in _SETS:
        assert differences(campaign / name, undisturbed / name, ["frames"]) == []
    ours, theirs = _shape(campaign), _shape(undisturbed)
    assert (ours - theirs, theirs - ours) == (Counter(), Counter()), "files left, and files lost"
    assert _summary(campaign) == _summary(undisturbed)
    _check_registry(campaign)


def _shape(campaign: Path) -> Counter[str]:
    """The files of a campaign but its tables' and MLflow's, its own name and digests left out of theirs."""
    relative = [path.relative_to(campaign) for path in campaign.rglob("*") if path.is_file()]
    ours = [path for path in relative if not set(_NOT_OURS) & set(path.parts)]
    return Counter(_NAMED_BY_CONTENT.sub("#", str(path).replace(campaign.name, "#")) for path in ours)


def _summary(campaign: Path) -> str:
    return json.dumps(json.loads((campaign / "summary.json").read_text()), sort_keys=True)


def _check_registry(campaign: Path) -> None:
    """One version a round, and the alias on the model that the ledger calls champion."""
    store = Store(campaign)
    promoted = scan(store, "rounds").filter(pl.col("step") == "promote").collect()
    client, tracker = MlflowClient(), CampaignTracker(campaign.name, campaign)
    versions = client.search_model_versions(f"name = '{tracker.model_name}'")
    assert len(versions) == len(promoted), f"{len(versions)} models registered in {len(promoted)} rounds"
    champion = Ledger(store).champion()
    assert champion is not None
    [named] = [each for each in versions if int(each.version) == tracker.champion()]
    assert named.tags["sha256"] == folder_sha256(champion)
