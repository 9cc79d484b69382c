"""A campaign: one folder that holds its tables, models, record and summary."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import semihand.rounds.config as _config
from semihand.frames.errors import InputError
from semihand.frames.json_files import read_json
from semihand.redaction import redact_all
from semihand.rounds.driver import LOCK
from semihand.rounds.inputs import check_inputs
from semihand.rounds.kept_files import kept_file
from semihand.rounds.ledger import Ledger
from semihand.rounds.localiser import keep_localiser
from semihand.rounds.second_teacher import keep_teacher, kept_teacher
from semihand.rounds.unwritable import unwritable_told
from semihand.tables import Store, files
from semihand.tracking import CampaignTracker

_SETTLED = "config.json"
_OWN_FILES = (".tmp", ".log", ".txt", ".toml")  # of a start that was cut off; output and recipe that a user put there
# What may change while a campaign goes on: how many rounds, on what machine and how much of it a frame may take, and
# what is merely reported.
_FREE = (
    "campaign", "rounds", "stop", "cluster", "insecure_cluster", "limits", "evaluation", "protocol", "control",
    "transductive", "mlflow_limit_s",
)  # fmt: skip


@dataclass(frozen=True)
class Campaign:
    """An open campaign."""

    config: _config.RoundConfig
    folder: Path
    store: Store
    ledger: Ledger
    tracker: CampaignTracker

    @property
    def name(self) -> str:
        """The folder's name, which names the MLflow experiment and the fits."""
        return self.folder.name

    @property
    def second_teacher(self) -> Path | None:
        """The campaign's copy of it, where every machine sees it; None where there is one teacher."""
        return kept_teacher(self.folder)

    def round_folder(self, round_number: int) -> Path:
        """Where a round keeps what is no table."""
        folder = self.folder / "rounds" / str(round_number)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def attempts(self, round_number: int) -> Path:
        """Where a round's workers note what they begin, to find frames that kill them; gone when the work is done."""
        return self.round_folder(round_number) / "attempts"

    def kept(self, round_number: int, step: str, name: str) -> Path:
        """A file that a step of a round left; see `kept_file`."""
        return kept_file(self.folder / "rounds", self.ledger, round_number, step, name)

    def say(self, text: str) -> None:
        """A line of progress for whoever watches."""
        print(text, flush=True)


def make_folder(config: _config.RoundConfig) -> Path:
    """Look at all that the user named, and make the campaign's folder, empty; what goes into it is its driver's.

    Raises:
        InputError: something is missing or unusable; then nothing was made. Or the folder cannot be made.
    """
    folder = config.campaign.expanduser().resolve()
    with unwritable_told(folder):
        begun = (folder / _SETTLED).is_file()
        if not begun:
            _refuse_what_others_keep(folder)
        check_inputs(config, begun)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"--campaign {folder} cannot be made: {error.strerror}. Name a folder you may write to."
        ) from error
    return folder


def open_campaign(config: _config.RoundConfig, made: Path | None = None) -> Campaign:
    """Begin a campaign in its folder, or open it again to continue.

    Args:
        config: what the user said.
        made: its folder, which whoever drives it has made and locked; None: it is made.

    Raises:
        InputError: the folder was made with another configuration; or as `make_folder` says.
    """
    folder = made or make_folder(config)
    _settle(config, folder / _SETTLED)
    keep_teacher(config.second_teacher, folder)
    keep_localiser(config.localiser, folder)
    store = Store(folder)
    store.create()
    return Campaign(config, folder, store, Ledger(store), CampaignTracker(folder.name, folder, config.mlflow_limit_s))


def _refuse_what_others_keep(folder: Path) -> None:
    """A new campaign goes into no folder of pictures or projects: the first word of a slip of the keyboard."""
    there = folder.iterdir() if folder.is_dir() else ()
    names = (each.name for each in there if not each.name.startswith(".") and each.suffix not in _OWN_FILES)
    held = sorted(name for name in names if name != LOCK)
    if held:
        raise InputError(
            f"--campaign {folder} is no campaign and holds other things ({', '.join(held[:3])}"
            f"{', …' if len(held) > 3 else ''}). Name a folder that does not exist yet."
        )


def _settle(config: _config.RoundConfig, path: Path) -> None:
    """Write the configuration down, or compare it with what the campaign began with."""
    ours = redact_all(config.model_dump(mode="json", exclude=set(_FREE)))
    if not path.is_file():
        files.write_whole(str(path), json.dumps(ours, indent=2).encode(), "settings")
        return
    theirs = read_json(path)
    changed = sorted(_differences(ours, theirs))
    if changed:
        raise InputError(
            f"{path.parent} began with another configuration: {'; '.join(changed[:3])}. "
            "Continue it with the same one, or name another folder with --campaign."
        )


def _differences(ours: Any, theirs: Any, name: str = "") -> list[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        below = [
            _differences(ours.get(key), theirs.get(key), f"{name}.{key}".lstrip("."))
            for key in ours.keys() | theirs.keys()
        ]
        return [line for lines in below for line in lines]
    return [] if ours == theirs else [f"{name} was {theirs!r}, is {ours!r}"]
