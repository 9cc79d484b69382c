"""Work that kills whoever does it, for the tests of what then happens; where Ray's workers and children import it."""

import os
import signal
import sys
import uuid
from functools import partial
from pathlib import Path

import pyarrow as pa

from semihand.deaths import MOST_DEATHS, Guard, Guarded, Work, _key

_POISON, _KILLED = "poison.txt", "killed"


def poison(folder: Path, names: set[str]) -> None:
    """Say which rows kill, before anyone works."""
    (folder / _KILLED).mkdir(parents=True, exist_ok=True)
    (folder / _POISON).write_text("\n".join(sorted(names)))


def num_killed(folder: Path) -> int:
    """How many processes have died of it."""
    return len(list((folder / _KILLED).iterdir()))


def died_on(folder: Path, name: str) -> None:
    """Let it stand in a folder of attempts that three workers died of a row while they had it alone."""
    folder.mkdir(parents=True)
    for number in range(MOST_DEATHS):
        (folder / f"{_key(['row', name])}.{number}").touch()


def killing(folder: Path, column: str, work: Work) -> Work:
    """The work, but whoever does it for a poisonous row dies by SIGKILL, as of a fault in native code."""
    names = set((folder / _POISON).read_text().split("\n"))

    def or_die(block: pa.Table) -> pa.Table:
        if names.intersection(block[column].to_pylist()):
            (folder / _KILLED / uuid.uuid4().hex).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return work(block)

    return or_die


def upper(block: pa.Table) -> pa.Table:
    """An answer a row, and how many rows were worked together."""
    names = block["name"].to_pylist()
    return pa.table({"answer": [name.upper() for name in names], "together": [len(names)] * len(names)})


def refused(rows: pa.Table) -> pa.Table:
    """What is said of rows that are given up."""
    names = rows["name"].to_pylist()
    return pa.table({"answer": [f"no {name}" for name in names], "together": [0] * len(names)})


def opened(folder: Path) -> Work:
    """`upper`, but for what is poisonous."""
    return killing(folder, "name", upper)


def guarded(folder: Path, in_children: bool = False) -> Guarded:
    """`opened`, guarded."""
    guard = Guard(folder / "attempts", "name", refused)
    return Guarded(partial(opened, folder), guard, in_children=in_children)


def main() -> None:
    """A driver that works alone: its blocks are the lines of the arguments, and it prints their answers."""
    folder, *blocks = sys.argv[1:]
    work = guarded(Path(folder), in_children=True)
    for block in blocks:
        for row in work(pa.table({"name": block.split(",")})).to_pylist():
            print(row["answer"], row["together"])


if __name__ == "__main__":
    main()
