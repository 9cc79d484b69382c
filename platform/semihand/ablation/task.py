"""What a process needs to run one row: its plan, its sets, where it starts from."""

from pathlib import Path
from typing import NamedTuple

from semihand.ablation.plans import Plan
from semihand.ablation.sets import Sets


class Task(NamedTuple):
    """Where and from what a row is run."""

    plan: Plan
    sets: Sets
    start: Path  # the pre-trained model
    second: Path | None  # another, from another seed, where the plan wants two teachers
    rounds: int
    seed: int
    models: Path  # folder that keeps the students
    device: str
