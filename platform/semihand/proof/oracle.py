"""What must hold of a disturbed campaign: it is the undisturbed one, and nothing of the dead is left."""

import json
import re
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

from semihand.rounds.ledger import Ledger
from semihand.rounds.verifying import damages
from semihand.tables import SCHEMAS, Store, scan
from semihand.tables.comparing import differences
from semihand.tables.sweeping import stray_files, sweep, tables_below
from semihand.tracking import CampaignTracker

_NAMED_BY_CONTENT = re.compile(r"[0-9a-f]{8,}")
_TABLES, _LOG, _ARTIFACTS = "tables", "_delta_log", "mlartifacts"
_AFTER_MANY_COMMITS = re.compile(r".*/(_last_checkpoint|#\.checkpoint\.parquet)")


def violations(campaign: Path, undisturbed: Path) -> list[str]:
    """What is lost, doubled, different, damaged or left behind, a line each; what the dead left is swept first.

    What is left is looked for in the listing of the folder, not by what the sweep takes for a stray.

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
    found += _left_behind(campaign, undisturbed)
    found += [f"{name} is missing" for name in _missing(campaign, undisturbed)]
    found += [] if _summary(campaign) == _summary(undisturbed) else ["summary.json says something else"]
    return [*found, *damages(campaign), *_of_registry(campaign)]


def num_rows(campaign: Path) -> int:
    """The rows of all tables of a campaign."""
    return sum(scan(campaign, name).collect().height for name in SCHEMAS)


def _shape(campaign: Path) -> Counter[str]:
    """The files of a campaign but its tables' and MLflow's database, its own name and digests left out of theirs."""
    counted = [path for path in _listed(campaign) if not _is_of_table(path) and path.name != "mlflow.db"]
    return Counter(_kind(path, campaign) for path in counted)


def _left_behind(campaign: Path, undisturbed: Path) -> list[str]:
    left = [*sorted(_shape(campaign) - _shape(undisturbed)), *_left_in_tables(campaign, undisturbed)]
    return [f"{name} is left behind" for name in left]


def _missing(campaign: Path, undisturbed: Path) -> list[str]:
    """What the other has; MLflow's artifacts may all lie with its server."""
    elsewhere = not (campaign / _ARTIFACTS).exists()
    return sorted(
        name for name in _shape(undisturbed) - _shape(campaign) if not (elsewhere and name.startswith(_ARTIFACTS))
    )


def _left_in_tables(campaign: Path, undisturbed: Path) -> list[str]:
    """Files of tables that no entry of the log names, or of a kind that the undisturbed campaign has none of.

    Not counted: a campaign that went on has more shards and commits.
    """
    kinds = {_kind(path, undisturbed) for path in _listed(undisturbed)}
    ours = [path for path in _listed(campaign) if _is_of_table(path)]
    logs = {path.parent for path in ours if path.parent.name == _LOG}
    known = {log.parent / name for log in logs for name in _named_in(campaign / log)}
    left = [path for path in ours if path.parent not in logs and path not in known]
    strange = [path for path in ours if _kind(path, campaign) not in kinds]
    return sorted({str(path) for path in left + strange if not _AFTER_MANY_COMMITS.fullmatch(_kind(path, campaign))})


def _named_in(log: Path) -> set[str]:
    """The files that any entry of a log adds."""
    actions = [json.loads(line) for entry in sorted(log.glob("*.json")) for line in entry.read_text().splitlines()]
    return {unquote(action["add"]["path"]) for action in actions if "add" in action}


def _is_of_table(path: Path) -> bool:
    return _TABLES in path.parts and path.parts[0] != _ARTIFACTS  # of which some are called so, too


def _listed(campaign: Path) -> list[Path]:
    return [path.relative_to(campaign) for path in campaign.rglob("*") if path.is_file()]


def _kind(path: Path, campaign: Path) -> str:
    return _NAMED_BY_CONTENT.sub("#", str(path).replace(campaign.name, "#"))


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
