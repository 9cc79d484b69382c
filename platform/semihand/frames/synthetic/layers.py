"""Hands with their arms as layers, to be laid over rooms: colour, cover and outline, as a function of seed and number.

A layer is a square picture. Its hand stands on one side, so that the arm has the other to run out of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8

from semihand.frames.synthetic.config import SyntheticConfig
from semihand.frames.synthetic.generate import PosedHand, hand_mesh, posed_hands, things_of
from semihand.frames.synthetic.imaging import take_pictures
from semihand.frames.synthetic.meshes import joined
from semihand.frames.synthetic.planning import FramePlan, plan_frame
from semihand.frames.synthetic.rendering import Camera, build_scene
from semihand.frames.synthetic.views import crop_camera

LAYER_PX = 128
OUTLINE_POINTS = 32
_FILL = 0.36  # longer side of the hand over the layer's: two hands' lengths are left for the arm
_ASIDE = 0.26  # from the layer's middle to the hand's, over its side
_BARE_ARM_MM = (150.0, 520.0)  # from the wrist to where a short sleeve begins
_UPPER_ARM_MM = 380.0
_BATCH = 8


class Layer(NamedTuple):
    """One hand with what is about it, before nothing.

    Attributes:
        colour: sRGB times cover.
        cover: share of the pixel that is covered, in 255ths.
        hand: where the hand itself is seen.
        outline_px: points of the hand that lie furthest in evenly spread directions.
        joints_px: the 21 joints.
        arm: direction from the hand's middle along its arm, unit; zero where there is none.
    """

    colour: UInt8[np.ndarray, "S S 3"]
    cover: UInt8[np.ndarray, "S S"]
    hand: Bool[np.ndarray, "S S"]
    outline_px: Float[np.ndarray, "P 2"]
    joints_px: Float[np.ndarray, "21 2"]
    arm: Float[np.ndarray, " 2"]


def draw_layers(seed: int, numbers: Sequence[int], first_subject: int = 0) -> Iterator[Layer]:
    """Right hands of the domain `randomised`, each on an arm that goes on behind the elbow.

    Args:
        seed: of the set.
        numbers: of the layers; a layer is the same in any company.
        first_subject: number of the first person, to draw other people than another set's.
    """
    num_frames = max(numbers, default=0) + 1
    config = SyntheticConfig(domain="randomised", seed=seed, num_frames=num_frames, first_subject=first_subject)
    for start in range(0, len(numbers), _BATCH):
        plans = [_stretched(plan_frame(config, number)) for number in numbers[start : start + _BATCH]]
        for plan, hand in zip(plans, posed_hands(plans), strict=True):
            yield _layer(plan, hand)


def _stretched(plan: FramePlan) -> FramePlan:
    """The plan with a whole arm, its sleeve at the wrist or, half of the time, as short as shirts have it."""
    arrangement = replace(plan.arrangement, upper_arm_mm=_UPPER_ARM_MM)
    if arrangement.forearm and arrangement.place[1] < 0.5:
        shortest, longest = _BARE_ARM_MM
        bare_mm = shortest + 2 * arrangement.place[1] * (longest - shortest)
        arrangement = replace(arrangement, sleeve_from_mm=bare_mm)
    return replace(plan, arrangement=arrangement)


def _layer(plan: FramePlan, hand: PosedHand) -> Layer:
    things = things_of(plan, hand)
    arm_mm = things[0].vertices.mean(axis=0) if plan.arrangement.forearm else None
    camera = _camera(plan, hand, arm_mm)
    outline_px = camera.project(hand.vertices_mm)
    scene, light = build_scene(joined([hand_mesh(hand), *things])), plan.light.turned(plan.view.turn)
    (black, truth), (white, _) = (
        take_pictures(scene, camera, light, plan.person, np.full((LAYER_PX, LAYER_PX, 3), ground))
        for ground in (0.0, 1.0)
    )
    return Layer(
        colour=_bytes(black),
        cover=_bytes(1.0 - (white - black).mean(axis=2)),
        hand=truth.mask,
        outline_px=_furthest(outline_px),
        joints_px=camera.project(hand.joints_mm),
        arm=_direction(camera, hand, arm_mm),
    )


def _camera(plan: FramePlan, hand: PosedHand, arm_mm: Float[np.ndarray, " 3"] | None) -> Camera:
    centred = crop_camera(replace(plan.view, fill=_FILL, offset=np.zeros(2)), hand.vertices_mm, LAYER_PX)
    aside = -_ASIDE * _direction(centred, hand, arm_mm)
    return crop_camera(replace(plan.view, fill=_FILL, offset=aside), hand.vertices_mm, LAYER_PX)


def _direction(camera: Camera, hand: PosedHand, arm_mm: Float[np.ndarray, " 3"] | None) -> Float[np.ndarray, " 2"]:
    """From the hand's middle to the arm's, in the picture; zero for an arm behind the camera or none."""
    if arm_mm is None or arm_mm[2] <= 1.0:
        return np.zeros(2)
    away = camera.project(arm_mm) - camera.project(hand.vertices_mm.mean(axis=0))
    return np.asarray(away / max(float(np.linalg.norm(away)), 1e-6))


def _furthest(points_px: Float[np.ndarray, "V 2"]) -> Float[np.ndarray, "P 2"]:
    angles = np.arange(OUTLINE_POINTS) * (2 * np.pi / OUTLINE_POINTS)
    towards = np.stack([np.cos(angles), np.sin(angles)])
    return np.asarray(points_px[(points_px @ towards).argmax(axis=0)])


def _bytes(picture: Float[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    return np.asarray(np.clip(picture, 0.0, 1.0) * 255.0 + 0.5, np.uint8)
