"""What a user may say about a campaign: recipe, command line, nothing else."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, Field, PositiveFloat, PositiveInt
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from semihand.frames.limits import Limits
from semihand.frames.options import Box, Hand, Intrinsics
from semihand.methods.semihand.network import NetworkConfig, Side
from semihand.stages.labelling import LabelClusterConfig
from semihand.stages.training import TrainClusterConfig
from semihand.steps.calibrate import CalibrateConfig
from semihand.steps.convergence import StopConfig
from semihand.steps.following import FindConfig
from semihand.steps.harden import HardenConfig
from semihand.steps.label import LabelConfig
from semihand.steps.selection import SelectConfig
from semihand.steps.subjects import SubjectConfig
from semihand.steps.train import TrainConfig

ProtocolName = Literal["default", "stb", "do", "rhd", "freihand", "ho3d", "interhand", "nyu"]


class DataConfig(BaseModel, frozen=True, extra="forbid"):
    """The hands made by code, where the user names no frames of their own."""

    num_source: PositiveInt = Field(
        default=6000, description="labelled source frames, those held out to calibrate included"
    )
    num_target: PositiveInt = Field(default=1600, description="unlabelled frames of the synthetic target")
    num_evaluation: PositiveInt = Field(
        default=600, description="unseen target frames with truth, for the report alone"
    )
    size_px: Side = Field(default=64, description="side of the pictures, px")
    seed: int = Field(default=1, description="another seed makes other frames")
    backgrounds: Path | None = Field(
        default=None,
        description="folder of pictures to put behind nine source hands in ten; None: backgrounds are drawn",
    )


class PromoteConfig(BaseModel, frozen=True, extra="forbid"):
    """The gate that makes a student the champion."""

    # A student learns the target, not the source, so on strongly augmented source frames it may be a little
    # worse than its teacher; more than this and it has forgotten.
    max_relative_error: PositiveFloat = Field(
        default=1.10, description="the most that a student's error on the calibration set may be, over its teacher's"
    )


class ClusterConfig(BaseModel, frozen=True, extra="forbid"):
    """What a campaign takes of the cluster."""

    alone: bool = Field(default=False, description="work in this process alone, one thing after the other, without Ray")
    num_cpus: PositiveInt | None = Field(default=None, description="CPUs of a Ray started here; None: all there are")
    object_store_mb: PositiveInt = Field(default=512, description="memory for objects of a Ray started here, MiB")
    # Every 120 s without progress are said; a single part of a large public set may take its quarter of an hour.
    stall_limit_s: PositiveFloat = Field(
        default=900.0, description="how long no block may move, s, before a run ends with an error instead of waiting"
    )
    label: LabelClusterConfig = Field(
        default=LabelClusterConfig(), description="how labelling, and finding hands before it, is spread"
    )
    train: TrainClusterConfig = Field(default=TrainClusterConfig(), description="how training is spread")


#: with a hyphen as well: what gives up safety is to be found by who looks for it as others spell it
InsecureCluster = Annotated[
    bool,
    Field(
        validation_alias=AliasChoices("insecure-cluster", "insecure_cluster"),
        description="work on a Ray cluster although it obeys whoever reaches it, asking for no token",
    ),
]


class RoundConfig(BaseSettings):
    """A campaign of `jobs/semihand_round.py`; every field is also a command-line option."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", cli_implicit_flags=True)

    campaign: Path = Field(Path("campaigns/laptop"), description="folder that keeps everything of the campaign")
    frames: Path | None = Field(
        None, description="unlabelled frames: manifest, folder, video, table or data set; none: synthetic"
    )
    source: str | None = Field(
        None,
        description="labelled source: path, data set, or source|randomised; default source, with --frames randomised",
    )
    source_2d: Path | None = Field(
        None, description="frames with truth in the picture, to learn from beside the source: path or data set"
    )
    teacher: Path | None = Field(None, description="a model folder to start from, instead of pre-training")
    second_teacher: Path | None = Field(
        None, description="another model folder: how far both are apart stands beside every label"
    )
    calibration: Path | None = Field(None, description="checked real frames instead of held-out source frames")
    evaluation: Path | None = Field(None, description="frames with truth, for the report alone")
    transductive: bool = Field(False, description="frames may be of whom calibration and evaluation are: it is meant")
    rounds: PositiveInt = Field(2, description="rounds in all; more continue a campaign")
    hand: Hand | None = Field(None, description="which hand frames show where nothing says it")
    box: Box | None = Field(None, description="x,y,w,h of the hand in px where a frame has no box")
    intrinsics: Intrinsics | None = Field(
        None, description="fx,fy,cx,cy in px of the camera where a frame has none; default: assumed"
    )
    subject_id: str | None = Field(None, description="whose hands frames show where nothing says it")
    localiser: Path | None = Field(
        None,
        description="a model that finds hands where nothing says box or side, and follows them in videos",
    )
    limits: Limits = Field(Limits(), description="what a picture, video or manifest may take before it is refused")
    frame_step: PositiveInt = Field(1, description="take every n-th frame of a video")
    protocol: ProtocolName = Field("default", description="convention of the reported errors")
    control: bool = Field(False, description="also train source-only for the same steps, to compare")
    crop_margin: Annotated[float, Field(ge=1, le=3)] = Field(
        1.2, description="side of the crop over the longer side of the box"
    )

    data: DataConfig = Field(DataConfig(), description="frames made by code, in place of sets that are not named")
    network: NetworkConfig = Field(
        NetworkConfig(), description="the network that is pre-trained; a --teacher brings its own"
    )
    pretrain: TrainConfig = Field(
        TrainConfig(target_batch=0), description="training of the first teacher, by labelled frames alone"
    )
    subjects: SubjectConfig = Field(SubjectConfig(), description="how a subject's bone lengths are measured")
    harden: HardenConfig = Field(
        HardenConfig(), description="how held-out source frames are made harder before they calibrate"
    )
    calibrate: CalibrateConfig = Field(CalibrateConfig(), description="what the error expected of a label is fitted to")
    find: FindConfig = Field(FindConfig(), description="how the localiser is asked; with --localiser")
    label: LabelConfig = Field(LabelConfig(), description="how a frame is labelled")
    select: SelectConfig = Field(SelectConfig(), description="which labels the student learns from, and their weight")
    train: TrainConfig = Field(TrainConfig(), description="training of each round's student")
    promote: PromoteConfig = Field(PromoteConfig(), description="when a student becomes the next teacher")
    stop: StopConfig = Field(StopConfig(), description="when a campaign ends before its last round; by default never")
    cluster: ClusterConfig = Field(ClusterConfig(), description="what is taken of the machine or the cluster")
    insecure_cluster: InsecureCluster = False
    # A model's hundred files at 0.1 s each, and as much again for the rest.
    mlflow_limit_s: PositiveFloat = Field(
        30.0, description="the most that a round waits for MLflow, s; what is left is sent with the next one"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Recipe and command line only: an environment variable called ROUNDS must not change a run."""
        return (init_settings,)

    @property
    def source_domain(self) -> str | None:
        """The synthetic domain that serves as source, None when the source is a path."""
        if self.source in ("source", "randomised"):
            return self.source
        if self.source is None:
            return "source" if self.frames is None else "randomised"
        return None

    @property
    def held_out(self) -> int:
        """Source frames that training leaves to calibration."""
        return 0 if self.calibration is not None else self.calibrate.num_frames
