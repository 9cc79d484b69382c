"""Synthetic frames as a FRAMES table: a pure function of the data set's configuration and the frames asked for."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice

import numpy as np
import pyarrow as pa
import smplx
import torch
from jaxtyping import Float, Shaped
from scipy.spatial.transform import Rotation

from semihand.frames.synthetic import anatomy, poses
from semihand.frames.synthetic.arrangement import things_about
from semihand.frames.synthetic.backgrounds import draw_background
from semihand.frames.synthetic.config import SyntheticConfig
from semihand.frames.synthetic.domains import read_domain
from semihand.frames.synthetic.generic_hand import build_generic_hand, part_of_faces
from semihand.frames.synthetic.imaging import Pictures, encode_png, take_pictures
from semihand.frames.synthetic.meshes import HAND, Mesh, as_tuples, joined
from semihand.frames.synthetic.planning import FRAMES_PER_S, FramePlan, plan_frame
from semihand.frames.synthetic.rendering import Camera, build_scene
from semihand.frames.synthetic.sensor import expose
from semihand.frames.synthetic.views import crop_camera
from semihand.hand.mano import hand_layer, pose_hand
from semihand.tables.arrays import rows_of
from semihand.tables.identity import content_sha256, frame_id
from semihand.tables.schemas import FRAMES

_BATCH = 8  # always posed this many at a time, the last batch padded: no frame depends on its neighbours


@dataclass(frozen=True)
class PosedHand:
    """A hand in place before the camera; mm, camera frame; parameters as MANO's."""

    vertices_mm: Float[np.ndarray, "V 3"]
    joints_mm: Float[np.ndarray, "21 3"]
    pose: Float[np.ndarray, " 48"]
    translation_mm: Float[np.ndarray, "3"]


def generate_frames(config: SyntheticConfig, indices: Sequence[int]) -> pa.Table:
    """The frames of these indices in the FRAMES schema, pictures embedded; the same bytes in any company.

    Raises:
        ValueError: an index outside the data set, or a folder of backgrounds without pictures.
    """
    return photographed(config, (plan_frame(config, int(index)) for index in indices))


def photographed(config: SyntheticConfig, plans: Iterable[FramePlan]) -> pa.Table:
    """Planned frames as a FRAMES table, one row a plan."""
    remaining = iter(plans)
    rows: list[dict[str, object]] = []
    while batch := list(islice(remaining, _BATCH)):
        rows += [_frame(config, plan, hand) for plan, hand in zip(batch, posed_hands(batch), strict=True)]
    columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else {})}
    return rows_of(FRAMES, columns) if rows else FRAMES.empty_table()


@lru_cache(maxsize=1)
def _layer() -> smplx.MANO:
    return hand_layer(build_generic_hand())


def posed_hands(plans: Sequence[FramePlan]) -> list[PosedHand]:
    """The hands of up to eight plans, each in its place before its camera."""
    padded = [*plans, *([plans[-1]] * (_BATCH - len(plans)))]
    rest = build_generic_hand().rest_joints_m
    fingers = poses.to_axis_angle(np.stack([plan.pose_deg for plan in padded]), rest)
    turns = Rotation.from_matrix(np.stack([plan.view.orientation for plan in padded])).as_rotvec()
    shapes = np.stack([plan.person.shape for plan in padded])
    tensors = (torch.from_numpy(values).float() for values in (turns, fingers, shapes, np.zeros((_BATCH, 3))))
    with torch.inference_mode(), _one_thread():
        posed = pose_hand(_layer(), *tensors)
    vertices, joints = (values.numpy().astype(np.float64) for values in posed)
    return [
        _in_place(plan, vertices[row], joints[row], np.concatenate([turns[row], fingers[row]]))
        for row, plan in enumerate(plans)
    ]


@contextmanager
def _one_thread() -> Iterator[None]:
    """The order of a sum follows the number of threads, and with it the last bit of a vertex."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)


def _in_place(plan: FramePlan, vertices: np.ndarray, joints: np.ndarray, pose: np.ndarray) -> PosedHand:
    translation = plan.view.place_mm - joints[9]
    return PosedHand(np.asfortranarray(vertices + translation), joints + translation, pose, translation)


def _frame(config: SyntheticConfig, plan: FramePlan, hand: PosedHand) -> dict[str, object]:
    domain = read_domain(config.domain)
    camera = crop_camera(plan.view, hand.vertices_mm, config.size_px)
    scene = build_scene(joined([hand_mesh(hand), *things_of(plan, hand)]))
    background = draw_background(plan.background, domain, config.size_px, config.backgrounds)
    clean, truth = take_pictures(scene, camera, plan.light.turned(plan.view.turn), plan.person, background)
    image = encode_png(expose(plan.grain, clean, plan.faults))
    box = _box(camera.project(hand.vertices_mm), plan, config)
    return (
        _identity(config, plan, image) | _camera_columns(camera, plan, config) | _truth(hand, truth, camera, plan)
    ) | {"bbox_px": box, "box_source": "given" if config.truth == "none" else "truth", "supervision": config.truth}


def things_of(plan: FramePlan, hand: PosedHand) -> list[Mesh]:
    """What stands about the hand, laid out in the world so that all views of an instant show the same."""
    turn, place_mm = plan.view.turn, plan.view.place_mm
    joints_mm = (hand.joints_mm - place_mm) @ turn
    things = things_about(plan.arrangement, plan.person, joints_mm, turn.T @ plan.view.orientation)
    return [replace(thing, vertices=thing.vertices @ turn.T + place_mm) for thing in things]


def hand_mesh(hand: PosedHand) -> Mesh:
    """The posed hand as triangles."""
    model = build_generic_hand()
    return Mesh(
        hand.vertices_mm,
        model.faces,
        np.ones_like(hand.vertices_mm),
        _texture(),
        np.full(len(model.faces), HAND),
        part_of_faces(),
        _corners(),
    )


@lru_cache(maxsize=1)
def _texture() -> Float[np.ndarray, "V 3"]:
    return np.asarray(build_generic_hand().v_template * 1000.0 @ anatomy.TO_MANO)


@lru_cache(maxsize=1)
def _corners() -> Shaped[np.ndarray, " F"]:
    return as_tuples(build_generic_hand().faces)


def _identity(config: SyntheticConfig, plan: FramePlan, image: bytes) -> dict[str, object]:
    view = f"view-{plan.step}" if config.kind == "views" else None
    in_sequence = config.kind == "sequences"
    return {
        "frame_id": frame_id(config.name, f"{config.domain}/{config.seed}/{plan.index:08d}", view_id=view),
        "dataset": config.name,
        "image": image,
        "content_sha256": content_sha256(image),
        "modality": "rgb",
        "timestamp_s": plan.step / FRAMES_PER_S if in_sequence else None,
        "sequence_id": f"{config.name}/sequence-{plan.group:06d}" if in_sequence else None,
        "instant_id": f"{config.name}/instant-{plan.group:06d}" if config.kind == "views" else None,
        "view_id": view,
        "subject_id": f"{config.domain}-{plan.subject:03d}",
        "hand": "right",
        "split": plan.split,
    }


def _camera_columns(camera: Camera, plan: FramePlan, config: SyntheticConfig) -> dict[str, object]:
    world_to_camera = np.concatenate([plan.view.turn, plan.view.place_mm[:, None]], axis=1)
    return {
        "fx": camera.focal_px,
        "fy": camera.focal_px,
        "cx": camera.centre_px[0],
        "cy": camera.centre_px[1],
        "intrinsics_source": "given",
        "world_to_camera": world_to_camera.ravel().tolist() if config.kind == "views" else None,
    }


def _truth(hand: PosedHand, truth: Pictures, camera: Camera, plan: FramePlan) -> dict[str, object]:
    return {
        "joints_uv_px": camera.project(hand.joints_mm).astype(np.float32).tolist(),
        "joints_mm": hand.joints_mm.astype(np.float32).tolist(),
        "joints_valid": [True] * 21,
        "mano_pose": hand.pose.astype(np.float32).tolist(),
        "mano_shape": plan.person.shape.astype(np.float32).tolist(),
        "mano_translation_mm": hand.translation_mm.astype(np.float32).tolist(),
        "mask_png": encode_png(truth.mask.astype(np.uint8) * 255),
        "depth_png": encode_png(truth.depth),
        "parts_png": encode_png(truth.parts),
    }


def _box(outline_px: Float[np.ndarray, "V 2"], plan: FramePlan, config: SyntheticConfig) -> list[float]:
    """The hand's box: exact where truth is open, else as loosely as the domain's boxes are drawn."""
    low, high = outline_px.min(axis=0) - 0.5, outline_px.max(axis=0) + 0.5
    if config.truth == "none":
        slack = plan.box_slack * (high - low).max()
        low, high = low - slack[0], high + slack[1]
    return [float(value) for value in (*low, *(high - low))]
