"""What a synthetic data set is: everything its frames depend on."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, PositiveInt, model_validator

from semihand.frames.synthetic.domains import DomainName, read_domain

Supervision = Literal["none", "2d", "3d", "mano"]


class SyntheticConfig(BaseModel, frozen=True, extra="forbid"):
    """Frame i is a function of this and i alone."""

    domain: DomainName = Field(
        default="source", description="what hands, poses, views, scenes and cameras are drawn from"
    )
    seed: int = Field(default=0, ge=0, description="another seed makes other frames")
    num_frames: PositiveInt = Field(
        default=1000, description="frames in all, a multiple of those of a sequence or instant"
    )
    size_px: int = Field(
        default=64, ge=32, le=512, description="side of the pictures, px; the recipes use 64, 128 and 256"
    )
    kind: Literal["single", "sequences", "views"] = Field(
        default="single",
        description="single pictures, sequences of one subject in smooth motion, or views of one instant",
    )
    sequence_length: int = Field(default=48, ge=2, description="frames of a sequence")
    num_views: int = Field(default=4, ge=2, le=16, description="cameras of an instant")
    num_subjects: PositiveInt | None = Field(default=None, description="people; None: the domain's own number")
    first_subject: int = Field(
        default=0, ge=0, description="number of the first; subject n of a domain is the same person in every data set"
    )
    backgrounds: str | None = Field(
        default=None, description="folder of pictures to put behind nine hands in ten; None: backgrounds are drawn"
    )
    dataset: str | None = Field(
        default=None, description="the set's name in the table; None: made of domain, kind and seed"
    )
    splits: dict[str, Annotated[float, Field(gt=0.0)]] = Field(
        default_factory=lambda: {"train": 1.0},
        description="name and share of each split; a sequence or an instant goes to one split as a whole",
    )
    supervision: Supervision | None = Field(
        default=None, description="which truth a step may read; None: mano, of target domains none"
    )

    @model_validator(mode="after")
    def _views_are_whole(self) -> "SyntheticConfig":
        group = {"single": 1, "sequences": self.sequence_length, "views": self.num_views}[self.kind]
        if self.num_frames % group:
            raise ValueError(
                f"num_frames {self.num_frames} is no multiple of {group}, the frames of one {self.kind[:-1]}"
            )
        if not self.splits:
            raise ValueError("splits is empty; name at least one, as {'train': 1.0}")
        return self

    @property
    def name(self) -> str:
        """The data set's name."""
        return self.dataset or f"synthetic-{self.domain}-{self.kind}-{self.seed}"

    @property
    def truth(self) -> Supervision:
        """The supervision that the frames carry."""
        return self.supervision or ("none" if self.domain.startswith("target") else "mano")

    @property
    def people(self) -> int:
        """How many subjects the frames are of."""
        return self.num_subjects or read_domain(self.domain).num_subjects

    @property
    def group_size(self) -> int:
        """Frames that belong together: of one sequence or one instant."""
        return {"single": 1, "sequences": self.sequence_length, "views": self.num_views}[self.kind]
