"""What a synthetic data set is: everything its frames depend on."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, PositiveInt, model_validator

from semihand.frames.synthetic.domains import DomainName, read_domain

Supervision = Literal["none", "2d", "3d", "mano"]


class SyntheticConfig(BaseModel, frozen=True, extra="forbid"):
    """Frame i is a function of this and i alone."""

    domain: DomainName = "source"
    seed: Annotated[int, Field(ge=0)] = 0
    num_frames: PositiveInt = 1000
    #: side of the picture in px; the recipes use 64, 128 and 256
    size_px: Annotated[int, Field(ge=32, le=512)] = 64
    #: single pictures, sequences of one subject in smooth motion, or synchronised views of one instant
    kind: Literal["single", "sequences", "views"] = "single"
    sequence_length: Annotated[int, Field(ge=2)] = 48
    num_views: Annotated[int, Field(ge=2, le=16)] = 4
    #: people; None is the domain's own number. Subject n of a domain is the same person in every data set.
    num_subjects: PositiveInt | None = None
    first_subject: Annotated[int, Field(ge=0)] = 0
    #: folder of pictures to put behind the hand; None draws them
    backgrounds: str | None = None
    #: data set name in the table; None makes one of domain, kind and seed
    dataset: str | None = None
    #: name and share of each split; whole sequences and instants go to one split
    splits: dict[str, Annotated[float, Field(gt=0.0)]] = Field(default_factory=lambda: {"train": 1.0})
    #: what a step may read; None is mano, but none for a target domain
    supervision: Supervision | None = None

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
