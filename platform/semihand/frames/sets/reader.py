"""What a reader of a public data set is: parts that are listed apart, and the rows of each."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict

from semihand.frames.errors import BadFrame
from semihand.frames.files import resolve_inside
from semihand.frames.limits import STANDARD, Limits

ROWS_PER_PART = 1000
PROBLEM = "problem"

#: Columns of FRAMES by name, None where null: paths relative to the data set's folder, arrays, NaN in joints that are
#: not valid. Under `PROBLEM` a BadFrame, where the row cannot be used.
Row = dict[str, Any]


#: A file of the user's, wherever it is read later.
OwnFile = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]


class SetOptions(BaseModel):
    """What may stand behind the `?` of a data set's name."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Part(NamedTuple):
    """Rows that are read together: few enough for memory, and known by numbers and names that can be sent."""

    name: str  # for messages
    about: Mapping[str, Any]


class SetReader(ABC):
    """A public data set in the layout that its authors publish.

    Attributes:
        name: how it is called on the command line, and its rows' `dataset`.
        about: one line for `--help`.
        Options: what may stand behind the `?`.
        are_crops: whether its pictures are cut out of larger ones.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    Options: ClassVar[type[SetOptions]] = SetOptions
    are_crops: ClassVar[bool] = False

    def __init__(self, folder: Path, options: Any, limits: Limits = STANDARD) -> None:
        """A data set in its folder; nothing is opened yet.

        Args:
            folder: the data set's root.
            options: of the reader's own `Options`.
            limits: what an annotation file, mask, depth picture or video may take.
        """
        self.folder, self.options, self.limits = folder, options, limits

    @abstractmethod
    def parts(self) -> list[Part]:
        """What the data set holds, cut into parts.

        Raises:
            InputError: the folder lacks what every copy of the data set has.
        """

    def annotations(self, with_truth: bool) -> list[Path]:
        """Large files, there or not, that every process opens for the rows and `parts` does not."""
        return []

    @abstractmethod
    def rows(self, part: Part, with_truth: bool) -> Iterator[Row]:
        """The rows of a part, in an order of their own; no truth is opened unless it is asked for.

        Raises:
            InputError: what describes the part as a whole cannot be read.
        """

    def _inside(self, relative: str) -> Path:
        """The real path of a file that belongs to one row.

        Raises:
            BadFrame: bad_name, bad_path or missing_file; see `semihand.frames.files.resolve_inside`.
        """
        return resolve_inside(relative, self.folder, self.folder)

    def _inside_if_any(self, relative: str) -> Path | None:
        """As `_inside`, None where there is no such file."""
        return self._inside(relative) if (self.folder / relative).is_file() else None


def spans(num_entries: int, rows_of_each: int = 1) -> Iterator[tuple[int, int]]:
    """Starts and ends of parts, counted in entries of so many rows, of at most `ROWS_PER_PART` rows."""
    step = max(1, ROWS_PER_PART // rows_of_each)
    for start in range(0, num_entries, step):
        yield start, min(start + step, num_entries)


def guarded(row: Row, *more: Callable[[], Row]) -> Row:
    """A row with what each call adds; from the first that raises a BadFrame on, with that problem instead."""
    for add in more:
        try:
            row = row | add()
        except BadFrame as problem:
            return row | {PROBLEM: problem}
    return row
