"""Keeping a campaign's folder in order: verified, repaired, swept, compacted; first said, then done."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt
from pydantic_settings import BaseSettings, SettingsConfigDict

from semihand.frames.errors import InputError
from semihand.rounds.driver import only_driver
from semihand.rounds.ledger import Ledger
from semihand.rounds.verifying import damages
from semihand.tables import SCHEMAS, Store, rounds_of
from semihand.tables.compaction import compact, vacuum
from semihand.tables.repair import find_torn_end, take_away
from semihand.tables.sweeping import stray_files, sweep, tables_below
from semihand.words import counted

Task = Literal["verify", "repair", "sweep", "compact", "vacuum"]
_SECONDS = 3600.0  # of an hour


class MaintainConfig(BaseSettings):
    """What is done to which campaign."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", cli_implicit_flags=True)

    campaign: Path = Field(Path("campaigns/laptop"), description="the campaign's folder")
    task: Task = Field(
        "verify",
        description="verify hashes, repair torn logs, sweep what the killed left, compact files, vacuum old ones",
    )
    apply: bool = Field(False, description="do it; without, it is only said what would be done")
    older_than_hours: NonNegativeInt = Field(
        24, description="sweep and vacuum leave what is younger: a worker may be about to have it committed"
    )
    keep_rounds: Annotated[int, Field(ge=1)] | None = Field(
        None, description="vacuum keeps the table versions of so many of the last rounds; default: of all rounds"
    )


def maintain(config: MaintainConfig, say: Callable[[str], None] = print) -> int:
    """Do a task on a campaign, or say what it would do.

    Returns:
        How many damages were found, or things that were done or are to be done.

    Raises:
        InputError: there is no campaign, or somebody drives it while files are to be changed.
        DamagedTable: what cannot be repaired from what is there.
    """
    folder = config.campaign.expanduser().resolve()
    if not (folder / "tables").is_dir():
        raise InputError(f"--campaign {config.campaign}: no campaign here. Name its folder.")
    with only_driver(folder) if config.apply and config.task != "verify" else nullcontext():
        num = 0
        for line in _TASKS[config.task](folder, config):
            say(line)
            num += 1
    what = "damage" if config.task == "verify" else "thing"
    done = {"verify": "found"}.get(config.task, "done" if config.apply else "to do; --apply does it")
    say(f"{config.task} of {folder}: {counted(num, what)} {done}")
    return num


def _verify(folder: Path, config: MaintainConfig) -> Iterator[str]:
    yield from damages(folder)


def _repair(folder: Path, config: MaintainConfig) -> Iterator[str]:
    for uri in tables_below(folder):
        torn = find_torn_end(uri)
        if torn is not None:
            aside = f"laid aside as {take_away(torn)}" if config.apply else "would be laid aside"
            yield f"{torn.reason}: {aside}; run the job again to make its rows again"


def _sweep(folder: Path, config: MaintainConfig) -> Iterator[str]:
    strays = stray_files(folder, config.older_than_hours * _SECONDS)
    for stray in strays:
        yield f"{stray.uri}: {stray.size} bytes, {stray.age_s / _SECONDS:.1f} h old"
    if config.apply:
        sweep(strays)


def _compact(folder: Path, config: MaintainConfig) -> Iterator[str]:
    store = Store(folder)
    for name, schema in SCHEMAS.items():
        rounds = sorted(rounds_of(store, name)) if schema.metadata[b"partition"] else [None]
        for number in rounds:
            fewer = compact(store, name, number, commit=config.apply)
            if fewer:
                yield f"{name}{'' if number is None else f', round {number}'}: {counted(fewer, 'file')} fewer"


def _vacuum(folder: Path, config: MaintainConfig) -> Iterator[str]:
    store = Store(folder)
    kept = _kept_versions(Ledger(store), config.keep_rounds)
    for name in SCHEMAS:
        versions = kept.get(name, set())
        for path in vacuum(store, name, versions, config.older_than_hours, remove=config.apply):
            yield f"{store.path(name)}/{path}"


def _kept_versions(ledger: Ledger, keep_rounds: int | None) -> dict[str, set[int]]:
    """The versions that steps of the kept rounds have read or left, by table."""
    done = ledger.all_finished()
    last = max((number for number, _ in done), default=0)
    kept: dict[str, set[int]] = {}
    for (number, _), each in done.items():
        if keep_rounds is None or number > last - keep_rounds:
            for name, version in each.versions.items():
                kept.setdefault(name, set()).add(version)
    return kept


_TASKS: dict[Task, Callable[[Path, MaintainConfig], Iterator[str]]] = {
    "verify": _verify, "repair": _repair, "sweep": _sweep, "compact": _compact, "vacuum": _vacuum,
}  # fmt: skip
