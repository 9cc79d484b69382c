"""The rows of an ablation: every row is the base plan and what it changes of it."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, Field, ValidationError, model_validator

from semihand.frames.errors import InputError
from semihand.steps.calibrate import CalibrateConfig
from semihand.steps.label import LabelConfig
from semihand.steps.selection import SelectConfig
from semihand.steps.subjects import SubjectConfig
from semihand.steps.train import TrainConfig

Share = Annotated[float, Field(ge=0, le=1)]
_ROWS = Path(__file__).parent / "rows.toml"


NOT_DECIDING = {"about", "kind"}  # of a plan: said of a row, without changing its figures


class Cell(NamedTuple):
    """A row on a domain and a seed."""

    row: str
    domain: str
    seed: int


class Plan(BaseModel, frozen=True, extra="forbid"):
    """What the student of a row learns from, and how its labels are made."""

    about: str  # a line for the table
    # "source": nothing of the target; "frames": its pictures; "labels": pseudo-labels; "truth": true labels
    learns_from: Literal["source", "frames", "labels", "truth"]
    kind: Literal["control", "method", "addition"] = "method"
    truth_share: Share = 1.0  # of the target frames, where it learns from truth
    random_choice: bool = False  # as many labels as the selection takes, drawn at random
    second_teacher: bool = False  # another pre-trained network labels too
    accept_shares: Annotated[list[Share], Field(min_length=1)] = [1.0]  # of the labels by round; the last repeats
    label: LabelConfig = LabelConfig()
    subjects: SubjectConfig = SubjectConfig()
    calibrate: CalibrateConfig = CalibrateConfig()
    select: SelectConfig = SelectConfig()
    train: TrainConfig = TrainConfig()  # num_steps over all rounds

    @model_validator(mode="after")
    def _two_teachers(self) -> "Plan":
        asks = {"label.combine": self.label.combine == "mean", "select.weighting": self.select.weighting != "gate"}
        wanting = [name for name, asked in asks.items() if asked and not self.second_teacher]
        if wanting:
            raise ValueError(f"{' and '.join(wanting)} ask for two teachers: set second_teacher = true")
        return self

    def accept_share(self, round_number: int) -> float:
        """The share of labels that a round takes."""
        return self.accept_shares[min(round_number, len(self.accept_shares)) - 1]

    def takes_in(self, addition: "Plan", base: "Plan") -> bool:
        """Whether this plan has all that an addition changes of the row it builds on."""
        whole, changed, plain = (_leaves(plan.model_dump(mode="json", exclude=NOT_DECIDING))
                                 for plan in (self, addition, base))  # fmt: skip
        return changed - plain <= whole

    def as_text(self, rounds: int) -> str:
        """What decides the figures of a row: a result is the row's if it was run by this."""
        return json.dumps([rounds, self.model_dump(mode="json", exclude=NOT_DECIDING)], sort_keys=True)


def read_rows() -> dict[str, Any]:
    """The rows that the package knows, as `rows.toml` writes them."""
    return tomllib.loads(_ROWS.read_text())


def plan_of(name: str, rows: Mapping[str, Any], base: Mapping[str, Any]) -> Plan:
    """A row's plan: the base, what the row it extends changes, what it changes itself.

    Args:
        name: a row.
        rows: what every row changes; `extends` names another row.
        base: what all rows share; may lack what every row says itself.

    Raises:
        InputError: there is no such row, it extends itself, or it says what no plan may.
    """
    changes: list[Mapping[str, Any]] = []
    seen: list[str] = []
    following: str | None = name
    while following is not None:
        if following in seen:
            raise InputError(f"row {name} extends itself: {' -> '.join([*seen, following])}")
        if following not in rows:
            raise InputError(f"there is no row {following!r}; there are {', '.join(sorted(rows))}")
        seen.append(following)
        changes.append({key: value for key, value in rows[following].items() if key != "extends"})
        following = rows[following].get("extends")
    merged: dict[str, Any] = dict(base)
    for change in reversed(changes):
        merged = _merged(merged, change)
    try:
        return Plan.model_validate(merged)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(map(str, ("row", name, *problem["loc"])))
        raise InputError(f"{where}: {problem['msg']}") from error


def _leaves(values: Mapping[str, Any], path: str = "") -> set[tuple[str, str]]:
    """Every setting by its path, and what it is set to."""
    found: set[tuple[str, str]] = set()
    for key, value in values.items():
        inner = f"{path}.{key}"
        found |= _leaves(value, inner) if isinstance(value, Mapping) else {(inner, json.dumps(value))}
    return found


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Nested tables merged key by key; any other value replaces."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        both = isinstance(value, Mapping) and isinstance(old, Mapping)
        result[key] = _merged(old, value) if both else value  # type: ignore[arg-type]
    return result
