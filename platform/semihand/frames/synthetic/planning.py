"""What frame i of a data set shows: whose hand, in which pose, from where, among what. Chance is decided here."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from semihand.frames.synthetic import poses
from semihand.frames.synthetic.arrangement import Arrangement, draw_arrangement
from semihand.frames.synthetic.config import SyntheticConfig
from semihand.frames.synthetic.domains import DOMAINS, Domain, read_domain
from semihand.frames.synthetic.generic_hand import build_generic_hand
from semihand.frames.synthetic.lighting import Light, draw_light
from semihand.frames.synthetic.people import Person, person
from semihand.frames.synthetic.sensor import Faults, draw_faults
from semihand.frames.synthetic.views import View, around, between, draw_view, nearby_view

#: frames from one drawn pose of a sequence to the next: at 30 a second hands change pose about twice a second
KEY_SPACING = 14
FRAMES_PER_S = 30.0
_POSE, _SCENE, _VIEW, _CAMERA, _SPLIT, _KEY, _GRAIN = range(7)  # independent streams of chance


@dataclass(frozen=True)
class FramePlan:
    """Everything frame `index` shows but the pixels.

    Attributes:
        index: the frame.
        group: its sequence or instant; a single frame is a group of its own.
        step: its place in the group: time in a sequence, camera in an instant.
        subject: number of the person within the domain.
        person: their hand and skin.
        pose_deg: joint angles, see `poses`.
        view: where the camera stands.
        arrangement: what stands around the hand.
        light: in the world's axes.
        background: chance that draws the background.
        faults: the camera's.
        grain: chance that draws the grain.
        box_slack: left, top; right, bottom: how much looser than the hand a given box is, over its longer side.
        split: name of the split.
    """

    index: int
    group: int
    step: int
    subject: int
    person: Person
    pose_deg: Float[np.ndarray, "15 3"]
    view: View
    arrangement: Arrangement
    light: Light
    background: np.random.Generator
    faults: Faults
    grain: np.random.Generator
    box_slack: Float[np.ndarray, "2 2"]
    split: str


def plan_frame(config: SyntheticConfig, index: int) -> FramePlan:
    """Decide frame `index`.

    Raises:
        ValueError: the data set has no such frame.
    """
    if not 0 <= index < config.num_frames:
        raise ValueError(f"frame {index} is outside the data set's {config.num_frames} frames")
    domain = read_domain(config.domain)
    group, step = divmod(index, config.group_size)
    subject = config.first_subject + group % config.people
    scene = _chance(config, _SCENE, group)
    arrangement, light = draw_arrangement(scene, domain), draw_light(scene, domain)
    pose, view = _moment(config, domain, group, step)
    camera = index if config.kind == "views" else group  # one camera takes a sequence, many an instant
    grain = _chance(config, _GRAIN, index)
    return FramePlan(
        index=index,
        group=group,
        step=step,
        subject=subject,
        person=person(config.domain, subject),
        pose_deg=pose,
        view=view,
        arrangement=arrangement,
        light=light,
        background=_chance(config, _VIEW, camera),
        faults=draw_faults(_chance(config, _CAMERA, camera), domain.sensor),
        grain=grain,
        box_slack=grain.uniform(*domain.box_slack, (2, 2)),
        split=_split(config, group),
    )


def _chance(config: SyntheticConfig, stream: int, *numbers: int) -> np.random.Generator:
    domain_key = DOMAINS.index(config.domain)
    kind_key = ("single", "sequences", "views").index(config.kind)
    return np.random.default_rng([config.seed, domain_key, kind_key, stream, *numbers])


def _moment(config: SyntheticConfig, domain: Domain, group: int, step: int) -> tuple[Float[np.ndarray, "15 3"], View]:
    """Pose and view of one frame."""
    first_view = draw_view(_chance(config, _POSE, group, 1), domain)
    if config.kind != "sequences":
        pose = _drawn_pose(config, domain, group)
        if config.kind == "single":
            return pose, first_view
        jitter = _chance(config, _KEY, group, step).normal(0, (5.0, 10.0, 12.0))
        return pose, around(first_view, step, config.num_views, jitter)
    key, share = divmod(step, KEY_SPACING)
    eased = (1 - np.cos(np.pi * share / KEY_SPACING)) / 2
    (pose, view), (next_pose, next_view) = (_key(config, domain, group, number) for number in (key, key + 1))
    return (1 - eased) * pose + eased * next_pose, between(view, next_view, float(eased))


def _key(config: SyntheticConfig, domain: Domain, group: int, number: int) -> tuple[Float[np.ndarray, "15 3"], View]:
    base = draw_view(_chance(config, _POSE, group, 1), domain)
    return _drawn_pose(config, domain, group, number), nearby_view(_chance(config, _KEY, group, number), base)


def _drawn_pose(config: SyntheticConfig, domain: Domain, *numbers: int) -> Float[np.ndarray, "15 3"]:
    rng = _chance(config, _POSE, *numbers, 0)
    return poses.sample_pose(rng, domain.families, domain.pose_spread, build_generic_hand().rest_joints_m)


def _split(config: SyntheticConfig, group: int) -> str:
    shares = np.cumsum(list(config.splits.values()))
    place = _chance(config, _SPLIT, group).random() * shares[-1]
    return list(config.splits)[int(np.searchsorted(shares, place, side="right"))]
