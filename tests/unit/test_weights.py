"""methods/semihand/weights.py and predictor.py: a model folder holds what it says, and predicts with it."""

import json
import shutil

import numpy as np
import pytest
import torch
from frames_tables import dot_picture

from sample_hands import random_hands_mm
from semihand.frames.errors import InputError
from semihand.frames.json_files import read_json
from semihand.frames.reading import read_pictures
from semihand.hand.bones import bone_lengths
from semihand.hand.camera import intrinsics_matrix, project, relative_depth
from semihand.hand.crops import apply_affine, crop_affine, square_box
from semihand.methods.semihand.network import HandNetwork, NetworkConfig
from semihand.methods.semihand.predictor import Predictor, assumed_intrinsics
from semihand.methods.semihand.weights import CARD, WEIGHTS, load_model, read_card, save_model
from semihand.steps.cropping import read_crops
from semihand.tables import as_numpy


def test_a_saved_model_says_the_same_again(tiny_network, card, tmp_path):
    network, read = load_model(save_model(tiny_network, card, tmp_path))
    crops = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    for ours, theirs in zip(network(crops)[:4], tiny_network(crops)[:4], strict=True):
        assert torch.equal(ours, theirs)
    assert not network.training
    assert read.model_copy(update={"sha256": ""}) == card


def test_a_saved_hourglass_says_the_same_again(card, tmp_path):
    torch.manual_seed(1)
    made = HandNetwork(NetworkConfig(backbone="hourglass", width=8)).eval()
    folder = save_model(made, card.model_copy(update={"network": made.config}), tmp_path)
    read, _ = load_model(folder)
    crops = torch.rand(2, 3, 64, 64)
    assert read.config.backbone == "hourglass"
    assert torch.equal(read(crops).uv, made(crops).uv)
    assert torch.equal(read(crops).mask_logits, made(crops).mask_logits)


def test_the_same_weights_land_in_the_same_folder_and_others_do_not(tiny_network, card, tmp_path):
    folder = save_model(tiny_network, card, tmp_path)
    assert save_model(tiny_network, card, tmp_path) == folder
    assert folder.name == read_card(folder).sha256[:16]
    other = HandNetwork(tiny_network.config)
    assert save_model(other, card, tmp_path) != folder
    assert len([path for path in tmp_path.iterdir() if path.name.startswith(".unfinished")]) == 0


def test_every_flipped_bit_of_the_weights_is_noticed(tiny_network, card, tmp_path):
    folder = save_model(tiny_network, card, tmp_path)
    whole = (folder / WEIGHTS).read_bytes()
    for place in (0, 9, len(whole) // 2, len(whole) - 1):
        flipped = bytearray(whole)
        flipped[place] ^= 1
        (folder / WEIGHTS).write_bytes(flipped)
        with pytest.raises(ValueError, match=rf"{WEIGHTS} has sha256 .* its card says {folder.name}"):
            load_model(folder)


def test_weights_and_card_that_were_exchanged_together_are_still_no_model(tiny_network, card, tmp_path):
    import hashlib

    folder = save_model(tiny_network, card, tmp_path)
    for data, what in ((b"not safetensors at all", "no safetensors file"),):
        (folder / WEIGHTS).write_bytes(data)
        about = read_json(folder / CARD) | {"sha256": hashlib.sha256(data).hexdigest()}
        (folder / CARD).write_text(json.dumps(about))
        with pytest.raises(ValueError, match=what):
            load_model(folder)


def test_weights_that_are_not_finite_are_refused_by_name(tiny_network, card, tmp_path):
    broken = HandNetwork(tiny_network.config)
    with torch.no_grad():
        broken.head.bias[3] = float("nan")
    with pytest.raises(ValueError, match=r"head\.bias is not finite"):
        load_model(save_model(broken, card, tmp_path))


def test_a_folder_without_card_is_no_model_folder(tmp_path):
    with pytest.raises(ValueError, match=f"holds no {CARD}"):
        load_model(tmp_path)


def test_the_scale_is_the_templates_reference_bone(card):
    assert card.scale_mm == card.template_mm[9] == 46.0


def test_a_crop_is_predicted_alike_alone_and_among_many(teacher):
    predictor = Predictor(teacher)
    crops = np.random.default_rng(1).integers(0, 256, (35, 64, 64, 3), dtype=np.uint8)  # more than one pass
    uv, depth = predictor.predict_crops(crops)
    assert uv.shape == (35, 21, 2)
    for row in (0, 31, 32, 34):
        alone_uv, alone_depth = predictor.predict_crops(crops[row : row + 1])
        np.testing.assert_allclose(alone_uv[0], uv[row], atol=1e-3)
        np.testing.assert_allclose(alone_depth[0], depth[row], atol=1e-4)


def test_joints_of_ready_crops_come_back_where_their_map_came_from(teacher, source_frames):
    predictor = Predictor(teacher)
    read = read_crops(source_frames, 64, 1.2)
    uv, _ = predictor.predict_crops(read.pictures)
    uv_px = predictor.in_pictures(read.pictures, read.cameras.affine)
    np.testing.assert_allclose(apply_affine(read.cameras.affine, uv_px), uv, atol=1e-4)


def test_a_perfect_network_gives_back_the_hand_of_its_own_template(teacher, monkeypatch):
    joints_mm = random_hands_mm(1, 3)[0]
    K = intrinsics_matrix(600.0, 610.0, 320.0, 240.0)
    uv_px, box = project(joints_mm, K), np.array([[200.0, 100.0, 250.0, 220.0]])
    predictor = Predictor(teacher)
    template = [float(length) for length in bone_lengths(joints_mm)]
    predictor.card = predictor.card.model_copy(update={"template_mm": template})
    uv = apply_affine(crop_affine(square_box(box[0], predictor.card.crop_margin), 64), uv_px)
    answer = np.float32(uv[None]), np.float32(relative_depth(joints_mm)[None])
    monkeypatch.setattr(predictor, "predict_crops", lambda crops: answer)
    found_px, found_mm = predictor.predict([dot_picture(640, 480, (320, 200))], box, K[None])
    np.testing.assert_allclose(found_px[0], uv_px, atol=1e-3)
    np.testing.assert_allclose(found_mm[0], joints_mm, atol=0.1)


def test_predictions_of_pictures_are_those_of_their_crops(teacher, source_frames):
    predictor = Predictor(teacher)
    pictures = [picture for _, picture in read_pictures(source_frames)]
    boxes = as_numpy(source_frames["bbox_px"]).astype(np.float64)
    read = read_crops(source_frames, 64, predictor.card.crop_margin)
    uv_px, joints_mm = predictor.predict(pictures, boxes, read.cameras.intrinsics)
    np.testing.assert_allclose(uv_px, predictor.in_pictures(read.pictures, read.cameras.affine), atol=1e-3)
    np.testing.assert_allclose(project(joints_mm.astype(np.float64), read.cameras.intrinsics), uv_px, atol=1e-2)


def test_pictures_of_several_sizes_need_neither_box_nor_camera(teacher):
    pictures = [dot_picture(80, 60, (30, 30)), dot_picture(50, 90, (20, 60))]
    uv_px, joints_mm = Predictor(teacher).predict(pictures)
    assert uv_px.shape == (2, 21, 2)
    assert np.isfinite(joints_mm).all()
    assert (joints_mm[..., 2] > 0).all()
    K = np.stack([assumed_intrinsics(80, 60), assumed_intrinsics(50, 90)])
    np.testing.assert_allclose(project(joints_mm.astype(np.float64), K), uv_px, atol=1e-2)


def test_no_picture_gives_no_hand(teacher):
    uv_px, joints_mm = Predictor(teacher).predict([])
    assert (uv_px.shape, joints_mm.shape) == ((0, 21, 2), (0, 21, 3))


def test_the_assumed_camera_is_a_little_longer_than_the_picture_and_centred():
    np.testing.assert_allclose(assumed_intrinsics(200, 100), [[240, 0, 99.5], [0, 240, 49.5], [0, 0, 1]])


def test_a_bit_of_a_card_that_flips_is_seen(teacher, tmp_path):
    text = (teacher / CARD).read_bytes()
    folder = shutil.copytree(teacher, tmp_path / "model")
    assert read_card(folder) == read_card(teacher)
    for bit in range(0, 8 * len(text), 7):
        changed = bytearray(text)
        changed[bit // 8] ^= 1 << bit % 8
        (folder / CARD).write_bytes(changed)
        with pytest.raises(InputError, match=CARD):
            read_card(folder)
