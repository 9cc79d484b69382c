"""Ray casting, pictures and the camera's faults, on shapes whose answer is known."""

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from semihand.frames.synthetic import SyntheticConfig, generate_frames
from semihand.frames.synthetic.contact_sheet import contact_sheet
from semihand.frames.synthetic.imaging import encode_png
from semihand.frames.synthetic.meshes import THING, ball, box, joined, plain_mesh, tube, vertex_normals
from semihand.frames.synthetic.planning import plan_frame
from semihand.frames.synthetic.rendering import Camera, build_scene, centre_hits, occluded, sharpened
from semihand.frames.synthetic.sensor import Faults, expose

CAMERA = Camera(100.0, (31.5, 31.5), 64)
CLEAN = Faults(0.0, 0.0, 0.0, np.ones(3), 1.0, 0.0, 0.0)


def scene_of(*shapes):
    """Shapes, each (vertices, faces) with where it stands."""
    return build_scene(
        joined([plain_mesh(vertices + place, faces, np.ones(3), THING) for (vertices, faces), place in shapes])
    )


@pytest.mark.parametrize(
    ("shape", "volume"),
    [
        (ball(10.0), 4 / 3 * np.pi * 1000),  # ten rings of fourteen lie a little inside the sphere
        (box(np.array([2.0, 3.0, 4.0])), 8 * 24),
        (tube(np.array([-5.0, 5.0]), np.full((2, 2), 3.0), 32), 90 * np.pi),
    ],
)
def test_shapes_face_outwards_and_hold_their_volume(shape, volume):
    vertices, faces = shape
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    assert np.einsum("fi,fi->", a, np.cross(b, c)) / 6 == pytest.approx(volume, rel=0.08)
    normals = vertex_normals(vertices, faces)
    assert (np.einsum("vi,vi->v", normals, vertices) > 0).all()


def test_a_wall_is_seen_at_its_depth_in_every_pixel():
    scene = scene_of((box(np.array([500.0, 500.0, 10.0])), np.array([0.0, 0.0, 410.0])))
    hits = centre_hits(scene, CAMERA)
    assert sorted(hits.pixel) == list(range(64 * 64))
    np.testing.assert_allclose(hits.position_mm[2], 400.0, atol=1e-3)
    np.testing.assert_allclose(hits.barycentric.sum(axis=0), 1.0)
    # pixel centres are integers: a hit projects back onto the pixel it was cast from
    uv = CAMERA.project(hits.position_mm.T)
    np.testing.assert_allclose(uv, np.stack([hits.pixel % 64, hits.pixel // 64], axis=1), atol=1e-3)


def test_interpolated_positions_are_the_hits():
    scene = scene_of((ball(60.0), np.array([5.0, -8.0, 300.0])))
    hits = sharpened(scene, CAMERA, centre_hits(scene, CAMERA))
    np.testing.assert_allclose(hits.interpolate(scene.vertices), hits.position_mm, atol=1e-6)
    distance = np.linalg.norm(hits.position_mm.T - [5.0, -8.0, 300.0], axis=1)
    assert (distance > 50).all()
    assert (distance < 60.01).all()


def test_the_nearer_thing_is_seen_and_darkens_what_is_behind_it():
    scene = scene_of(
        (ball(20.0), np.array([0.0, 0.0, 300.0])), (box(np.array([90.0, 90.0, 5.0])), np.array([0, 0, 400.0]))
    )
    hits = centre_hits(scene, CAMERA)
    middle = hits.position_mm[:, hits.pixel == 32 * 64 + 32]
    assert middle[2, 0] < 300
    behind, towards = np.array([[0.0, 80.0], [0.0, 80.0], [394.0, 394.0]]), np.array([[0.0] * 2, [0.0] * 2, [-1.0] * 2])
    np.testing.assert_array_equal(occluded(scene, behind, towards, 600.0), [1.0, 0.0])
    np.testing.assert_array_equal(occluded(scene, behind, towards, 10.0), [0.0, 0.0])


def test_outlines_are_covered_by_the_share_that_the_shape_covers():
    radius_mm, depth_mm = 60.0, 300.0
    scene = scene_of((tube(np.array([0.0, 1.0]), np.full((2, 2), radius_mm), 96), np.array([0.3, 0.2, depth_mm])))
    hits = sharpened(scene, CAMERA, centre_hits(scene, CAMERA))
    cover = np.bincount(hits.pixel, hits.share, 64 * 64)
    assert cover.max() <= 1.0
    assert ((cover > 0) & (cover < 1)).sum() > 40
    assert cover.sum() == pytest.approx(np.pi * (radius_mm / depth_mm * 100.0) ** 2, rel=0.01)


PICTURES = st.one_of(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))),
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))),
    hnp.arrays(np.uint16, st.tuples(st.integers(1, 9), st.integers(1, 9))),
)


@settings(max_examples=50, deadline=None)
@given(PICTURES)
def test_any_reader_gets_back_the_picture_that_was_encoded(picture):
    read = np.asarray(Image.open(io.BytesIO(encode_png(picture))))
    np.testing.assert_array_equal(read, picture)


def test_a_sensor_without_faults_changes_nothing_but_the_rounding():
    picture = np.random.default_rng(0).random((64, 64, 3))
    taken = expose(np.random.default_rng(1), picture, CLEAN)
    assert np.abs(taken / 255.0 - picture).max() <= 0.5 / 255 + 1e-9


def test_each_fault_does_what_its_name_says():
    rng = np.random.default_rng(2)
    picture = np.clip(0.5 + 0.1 * rng.standard_normal((64, 64, 3)), 0, 1)

    def taken(**fault):
        return expose(np.random.default_rng(3), picture, replace(CLEAN, **fault)) / 255.0

    assert taken(blur_px=1.0).std() < 0.5 * picture.std()
    assert taken(sharpening=1.0).std() > 1.3 * picture.std()
    assert taken(gain=np.array([0.5, 1.0, 1.0]))[..., 0].mean() == pytest.approx(0.25, abs=0.01)
    assert taken(noise=0.05).std() > picture.std()
    across = taken(motion_px=6.0, motion_angle=0.0)
    assert np.diff(across, axis=1).std() < 0.5 * np.diff(across, axis=0).std()


def test_one_camera_takes_a_sequence_and_several_an_instant():
    sequence = SyntheticConfig(domain="target", kind="sequences", sequence_length=3, num_frames=6)
    gains = [tuple(plan_frame(sequence, index).faults.gain) for index in range(6)]
    assert len(set(gains)) == 2
    views = SyntheticConfig(domain="target", kind="views", num_views=3, num_frames=6)
    assert len({tuple(plan_frame(views, index).faults.gain) for index in range(6)}) == 6


def test_a_contact_sheet_shows_every_frame_and_draws_joints_where_asked():
    frames = generate_frames(SyntheticConfig(num_frames=5), range(5))
    bare, drawn = (contact_sheet(frames, 3, 64, joints_on) for joints_on in ((), (4,)))
    assert bare.size == (3 * 66 - 2, 2 * 66 - 2)
    changed = np.argwhere((np.asarray(bare) != np.asarray(drawn)).any(axis=-1))
    assert changed[:, 0].min() >= 66
    assert changed[:, 1].min() >= 66
    assert len(changed) > 60
