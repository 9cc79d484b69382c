"""The proof: an undisturbed campaign, then disturbed ones until the time is up, and a table of what they suffered."""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field, PositiveFloat, PositiveInt
from pydantic_settings import BaseSettings, SettingsConfigDict

from semihand.failpoints import STEPS
from semihand.frames.errors import InputError
from semihand.proof.driver import AT_A_PLACE, draw_plan, run_campaign
from semihand.proof.oracle import num_rows, violations
from semihand.words import counted


class ProofConfig(BaseSettings):
    """How long campaigns are killed, and how often."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    out: Path = Field(Path("proof"), description="a folder that does not exist yet, for the campaigns and their logs")
    minutes: PositiveFloat = Field(60.0, description="no campaign is begun after so many minutes")
    kills: PositiveInt | None = Field(None, description="or after so many deaths, whatever the time")
    seed: int = Field(0, description="another seed kills others, elsewhere")
    every_s: PositiveFloat = Field(
        12.0, description="mean time between two deaths of workers, s; only those of this machine are seen"
    )
    recipe: str = Field("proof", description="what the campaigns are, as jobs/semihand_round.py reads it")


@dataclass
class Proof:
    """What came of it."""

    landed: Counter[tuple[str, str]] = field(default_factory=Counter)  # deaths by step and kind of process
    campaigns: int = 0
    starts: int = 0
    rows: int = 0  # compared
    violations: list[str] = field(default_factory=list)

    def table(self) -> str:
        """Deaths by step, and of which processes, and the result."""
        lines = ["| step | at a failpoint | workers, at any time | all |", "| --- | --- | --- | --- |"]
        for step in STEPS:
            by_kind = {kind: num for (where, kind), num in self.landed.items() if where == step}
            planned, all_of_step = by_kind.get(AT_A_PLACE, 0), sum(by_kind.values())
            lines.append(f"| {step} | {planned} | {all_of_step - planned} | {all_of_step} |")
        kinds = Counter[str]()
        for (_, kind), num in self.landed.items():
            kinds[kind.partition(".")[0]] += num  # a worker's title has the method after its class
        del kinds[AT_A_PLACE]
        result = f"{counted(len(self.violations), 'violation')}" + "".join(f"\n  {line}" for line in self.violations)
        return "\n".join([
            *lines,
            f"workers: {', '.join(f'{num} {kind}' for kind, num in kinds.most_common())}",
            f"{self.landed.total()} deaths in {self.campaigns} disturbed campaigns, {self.starts} starts; "
            f"{self.rows} rows compared with the undisturbed campaign's: {result}",
        ])  # fmt: skip


def prove(config: ProofConfig, job: Path, say: Callable[[str], None] = print) -> Proof:
    """Run an undisturbed campaign and disturbed ones, and compare.

    Args:
        config: how long and how often.
        job: `jobs/semihand_round.py`.
        say: told of every campaign.

    Raises:
        InputError: the folder is there, or the undisturbed campaign ended with an error.
    """
    if config.out.exists():
        raise InputError(f"--out {config.out} exists. Name a folder that does not.")
    folder = config.out.expanduser().resolve()
    command, begun = [str(job), "--recipe", config.recipe], time.monotonic()
    undisturbed, _, error, *_ = run_campaign(command, folder / "undisturbed", {}, None, config.seed)
    if error is not None:
        raise InputError(f"the undisturbed campaign is not done: {error}")
    say(f"undisturbed: {num_rows(undisturbed)} rows in {time.monotonic() - begun:.0f} s; seed {config.seed}")
    proof, rng = Proof(), random.Random(config.seed)
    while not _is_enough(proof, config, time.monotonic() - begun):
        number = proof.campaigns + 1
        run = run_campaign(
            command, folder / f"disturbed-{number}", draw_plan(rng), config.every_s, rng.randrange(2**31)
        )
        lines = violations(run.campaign, undisturbed) if run.error is None else [run.error]
        found = [f"disturbed-{number}: {line}" for line in lines]
        proof.landed += run.landed
        proof.violations += found
        proof.campaigns, proof.starts = number, proof.starts + run.starts
        proof.rows += num_rows(run.campaign) if run.error is None else 0
        missed = f"; nothing came to {', '.join(run.missed)}" if run.missed else ""
        deaths, broken = counted(run.landed.total(), "death"), counted(len(found), "violation")
        say("\n  ".join([f"disturbed-{number}: {deaths}, {run.starts} starts, {broken}{missed}", *lines]))
    return proof


def _is_enough(proof: Proof, config: ProofConfig, passed_s: float) -> bool:
    if config.kills is not None:
        return proof.landed.total() >= config.kills
    return proof.campaigns > 0 and passed_s > 60 * config.minutes
