"""Data sets by name: `freihand:/data/FreiHAND?split=training`."""

import re
from pathlib import Path
from urllib.parse import parse_qsl

from pydantic import ValidationError

from semihand.frames.errors import InputError
from semihand.frames.limits import STANDARD, Limits
from semihand.frames.sets.coco_wholebody import CocoWholeBody
from semihand.frames.sets.dexter_object import DexterObject
from semihand.frames.sets.dexycb import Dexycb
from semihand.frames.sets.fpha import Fpha
from semihand.frames.sets.freihand import Freihand
from semihand.frames.sets.h3d import H3d
from semihand.frames.sets.ho3d import Ho3d
from semihand.frames.sets.icvl import Icvl
from semihand.frames.sets.interhand import Interhand
from semihand.frames.sets.msra15 import Msra15
from semihand.frames.sets.multiview import Multiview
from semihand.frames.sets.mvhand import Mvhand
from semihand.frames.sets.nyu import Nyu
from semihand.frames.sets.onehand10k import OneHand10K
from semihand.frames.sets.panoptic import Panoptic
from semihand.frames.sets.reader import Part, SetReader
from semihand.frames.sets.rhd import Rhd
from semihand.frames.sets.stb import Stb
from semihand.frames.sets.youtube3d import Youtube3d

READERS: dict[str, type[SetReader]] = {
    reader.name: reader
    for reader in (
        CocoWholeBody,
        DexterObject,
        Dexycb,
        Fpha,
        Freihand,
        H3d,
        Ho3d,
        Icvl,
        Interhand,
        Msra15,
        Multiview,
        Mvhand,
        Nyu,
        OneHand10K,
        Panoptic,
        Rhd,
        Stb,
        Youtube3d,
    )
}
_NAMED = re.compile(r"^(?P<name>[a-z][a-z0-9_]*):(?P<folder>[^?]+)(\?(?P<query>.*))?$", re.DOTALL)


def is_named(path: str | Path) -> bool:
    """Whether this names a data set rather than a file or folder: what stands before a colon is not a path."""
    return _NAMED.match(str(path)) is not None and not Path(path).exists()


def open_set(text: str | Path, limits: Limits = STANDARD) -> SetReader:
    """The reader of a data set and options that stand in one text.

    Raises:
        InputError: no data set is called so, it has no such option or value, or the folder is missing.
    """
    found = _NAMED.match(str(text))
    if found is None or found["name"] not in READERS:
        known = ", ".join(READERS)
        raise InputError(f"{text}: no data set is called so; give NAME:FOLDER with one of {known}, or a path")
    reader = READERS[found["name"]]
    # A plus is one, as paths have them; %20 and the like are what they stand for.
    given = dict(parse_qsl((found["query"] or "").replace("+", "%2B"), keep_blank_values=True))
    try:
        options = reader.Options.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        option = ".".join(map(str, first["loc"]))
        wrong = "there is none" if first["type"] == "extra_forbidden" else first["msg"]
        raise InputError(f"{text}: option {option!r}: {wrong}; {reader.name} takes {reader.about}") from None
    folder = Path(found["folder"]).expanduser()
    if not folder.is_dir():
        raise InputError(f"{text}: no folder {folder}; give the one that {reader.name} was unpacked into")
    return reader(folder.resolve(), options, limits)


def parts_of(reader: SetReader) -> list[Part]:
    """The parts of a data set.

    Raises:
        InputError: there is none, or the folder lacks what every copy of the data set has.
    """
    parts = reader.parts()
    if not parts:
        chosen = ", ".join(f"{name}={value}" for name, value in reader.options if value is not None)
        raise InputError(
            f"{reader.name}:{reader.folder}: nothing in it for {chosen or 'this data set'}; is it complete?"
        )
    return parts


def describe_sets() -> str:
    """A line for each data set, as `--help` prints them."""
    return "\n".join(f"  {f'{name}:FOLDER':<23} {reader.about}" for name, reader in READERS.items())
