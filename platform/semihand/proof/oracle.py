"""What must hold of a disturbed campaign: it is the undisturbed one, and nothing of the dead is left."""

import re
from collections import Counter
from pathlib import Path

from semihand.rounds.ledger import Ledger
from semihand.rounds.verifying import damages
from semihand.tables import SCHEMAS, Store, scan
from semihand.tables.comparing import differences
from semihand.tables.sweeping import stray_files, sweep, tables_below
from semihand.tracking import CampaignTracker

_NAMED_BY_CONTENT = re.compile(r"[0-9a-f]{8,}")
_NOT_OURS = ("tables", "mlartifacts", "mlflow.db")


def violations(campaign: Path, undisturbed: Path) -> list[str]:
    """What is lost, doubled, different, damaged or left behind, a line each; what the dead left is swept first.

    Args:
        campaign: a folder whose campaign was killed, and is done.
        undisturbed: one of the same settings that was not.
    """
    found = []
    sweep(stray_files(campaign, 0.0))
    for uri in tables_below(campaign):
        folder, name = uri.split("/tables/")
        there = undisturbed / Path(folder).relative_to(campaign)
        found += [f"{Path(folder).name}, {line}" for line in differences(folder, there, [name])]
    ours, theirs = _shape(campaign), _shape(undisturbed)
    found += [f"{name} is left behind" for name in sorted(ours - theirs)]
    found += [f"{name} is missing" for name in sorted(theirs - ours)]
    found += [] if _summary(campaign) == _summary(undisturbed) else ["summary.json says something else"]
    return [*found, *damages(campaign), *_of_registry(campaign)]


def num_rows(campaign: Path) -> int:
    """The rows of all tables of a campaign."""
    return sum(scan(campaign, name).collect().height for name in SCHEMAS)


def _shape(campaign: Path) -> Counter[str]:
    """The files of a campaign but its tables' and MLflow's, its own name and digests left out of theirs."""
    relative = [path.relative_to(campaign) for path in campaign.rglob("*") if path.is_file()]
    ours = [path for path in relative if not set(_NOT_OURS) & set(path.parts)]
    return Counter(_NAMED_BY_CONTENT.sub("#", str(path).replace(campaign.name, "#")) for path in ours)


def _summary(campaign: Path) -> str:
    return (campaign / "summary.json").read_text().replace(str(campaign), "#").replace(campaign.name, "#")


def _of_registry(campaign: Path) -> list[str]:
    """One version a round, and the alias on the model that the ledger calls champion."""
    ledger, tracker = Ledger(Store(campaign)), CampaignTracker(campaign.name, campaign)
    promoted = [number for number, step in ledger.all_finished() if step == "promote"]
    champion, named = ledger.champion(), tracker.champion()
    if champion is None or named is None:
        return ["there is no champion, in the ledger or in MLflow"]
    versions = tracker.versions(champion)
    found = [] if len(versions) == len(promoted) else [f"{len(versions)} models registered in {len(promoted)} rounds"]
    return found + ([] if versions[named] else [f"the alias is on version {named}, which is not {champion}"])
