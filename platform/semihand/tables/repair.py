"""The end of a log that a power cut or a full disk tore: found first, taken away only when asked."""

from typing import NamedTuple

from deltalake import DeltaTable

from semihand.tables import files
from semihand.tables.witness import DamagedTable, entry_uri, forget_logs, noted_version, read_entry, witness

_ASIDE = ".torn"


class TornEnd(NamedTuple):
    """The last entry of a log, which says nothing any more.

    Attributes:
        uri: the table.
        entry: its number; the table goes back to the one before.
        reason: what is wrong with it.
    """

    uri: str
    entry: int
    reason: str


def find_torn_end(uri: str) -> TornEnd | None:
    """The torn last entry of a table's log, or None where the last one is whole.

    Raises:
        DamagedTable: an entry before the last one is torn or gone; only a copy can bring that back.
    """
    last = _last_entry(uri)
    for entry in range(last):
        read_entry(uri, entry)
    try:
        read_entry(uri, last)
    except DamagedTable as error:
        return TornEnd(uri, last, str(error)) if last else None
    return None


def take_away(torn: TornEnd) -> str:
    """Lay a torn entry aside, and let the table be what it was before; its rows are made again by the next run.

    Returns:
        Where the entry is now.
    """
    place = entry_uri(torn.uri, torn.entry)
    data = files.read_whole(place)
    if data is not None:
        files.write_whole(place + _ASIDE, data, "record")
        store, path = files.filesystem(place)
        store.delete_file(path)
    forget_logs()
    witness(torn.uri, str(DeltaTable(torn.uri).metadata().id), torn.entry - 1)
    return place + _ASIDE


def _last_entry(uri: str) -> int:
    """The number of the last entry that has a file, or had one."""
    number = noted_version(uri) or 0
    while files.size(entry_uri(uri, number + 1)) is not None:
        number += 1
    return number
