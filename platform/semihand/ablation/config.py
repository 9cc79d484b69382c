"""What a user may say about an ablation: recipe, command line, nothing else."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, Field, NonNegativeFloat, PositiveInt
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from semihand.ablation.plans import Cell, Plan, plan_of, read_rows
from semihand.frames.synthetic.domains import TARGETS, TargetName
from semihand.methods.semihand.network import NetworkConfig, Side
from semihand.steps.train import TrainConfig


class SetSizes(BaseModel, frozen=True, extra="forbid"):
    """Frames of every set."""

    num_source: PositiveInt = Field(default=9600, description="labelled source frames")
    num_calibration: PositiveInt = Field(
        default=400, description="source frames beyond those, for confidence and thresholds"
    )
    num_target: PositiveInt = Field(default=2400, description="unlabelled frames of each target, per seed")
    num_evaluation: int = Field(default=600, ge=2, description="unseen target frames, per seed")
    size_px: Side = Field(default=64, description="side of the pictures, px")


class AblationConfig(BaseSettings):
    """`jobs/ablation.py`; every field is also a command-line option."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", cli_implicit_flags=True)

    campaign: Path = Field(Path("campaigns/ablation"), description="folder that keeps sets, models and results")
    rows: list[str] = Field([], description="a,b,c: the rows to run; none: all")
    domains: list[TargetName] = Field(list(TARGETS), description="the target domains to run on")
    seeds: PositiveInt = Field(2, description="runs of every row, each on target frames of its own")
    first_seed: PositiveInt = Field(
        1,
        validation_alias=AliasChoices("first_seed", "first-seed"),
        description="the first seed; those of tuning and of a reported run differ",
    )
    budget_minutes: NonNegativeFloat | None = Field(
        None,
        validation_alias=AliasChoices("budget_minutes", "budget-minutes"),
        description="start no row that would end later than this; 0: only write the report",
    )
    parallel: PositiveInt = Field(1, description="rows side by side, the cores shared among them")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: CUDA where there is a GPU")
    track: bool = Field(True, description="log the report to MLflow too, where it is installed")
    rounds: PositiveInt = Field(2, description="rounds of every row; its steps are shared among them")
    crop_margin: float = Field(1.2, ge=1, le=3, description="side of the crop over the longer side of the box")
    sets: SetSizes = Field(SetSizes(), description="frames of every set")
    network: NetworkConfig = Field(NetworkConfig(), description="what the network of all rows looks like")
    pretrain: TrainConfig = Field(
        TrainConfig(target_batch=0), description="training of the weights that all rows start from"
    )
    base: dict[str, Any] = Field({}, description="what all rows share, as a plan")
    row: dict[str, dict[str, Any]] = Field({}, description="rows of your own, or changes of those there are")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Recipe and command line only: an environment variable called ROWS must not change a run."""
        return (init_settings,)

    def plans(self) -> dict[str, Plan]:
        """The plans of the rows asked for, by name, in the order asked for or else the table's.

        Raises:
            InputError: a row is not known, or extends itself.
        """
        return self._plans_of(self.rows)

    def all_plans(self) -> dict[str, Plan]:
        """The plans of all rows there are, by name, in the table's order."""
        return self._plans_of([])

    def cells(self, plans: Mapping[str, Plan]) -> dict[Cell, str]:
        """The rows on every domain and seed asked for, and what each is to be run by."""
        return {
            Cell(row, domain, seed): plan.as_text(self.rounds)
            for domain in self.domains
            for seed in self.seed_numbers()
            for row, plan in plans.items()
        }

    def compared_with(self) -> dict[str, str]:
        """The row that each addition builds on."""
        rows = self._all_rows()
        return {name: row["extends"] for name, row in rows.items() if row.get("kind") == "addition"}

    def _plans_of(self, names: list[str]) -> dict[str, Plan]:
        rows = self._all_rows()
        return {name: plan_of(name, rows, self.base) for name in names or rows}

    def _all_rows(self) -> dict[str, Any]:
        known = read_rows()
        return {**known, **{name: {**known.get(name, {}), **changes} for name, changes in self.row.items()}}

    def seed_numbers(self) -> list[int]:
        """The seeds of the run."""
        return list(range(self.first_seed, self.first_seed + self.seeds))
