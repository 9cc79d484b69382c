"""The second teacher: copied among a campaign's models once, so that all its rounds are labelled by the same one."""

from pathlib import Path

from semihand.frames.errors import InputError
from semihand.methods.semihand.weights import load_model, save_model
from semihand.tables import files

_KEPT = "second_teacher.txt"  # the name of its folder below models/


def keep_teacher(given: Path | None, campaign: Path) -> None:
    """Copy the model that the user named, unless a copy is there or none was named.

    Raises:
        InputError: it cannot be read.
    """
    if given is None or (campaign / _KEPT).is_file():
        return
    try:
        network, card = load_model(given)
    except (OSError, ValueError) as error:
        raise InputError(f"--second_teacher {given} is no model folder that can be read: {error}") from error
    kept = save_model(network, card, campaign / "models")
    files.write_whole(str(campaign / _KEPT), kept.name.encode(), "settings")


def kept_teacher(campaign: Path) -> Path | None:
    """The copy; None where a campaign has one teacher."""
    note = campaign / _KEPT
    return campaign / "models" / note.read_text() if note.is_file() else None
