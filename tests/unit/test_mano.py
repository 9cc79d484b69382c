"""The hand model: safe reading, side from content, posing."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import torch
from scipy.spatial.transform import Rotation

from semihand.frames.synthetic.generic_hand import build_generic_hand
from semihand.hand.bones import bone_lengths
from semihand.hand.mano import TIP_VERTICES, hand_layer, hand_model_from_arrays, pose_hand, read_hand_model
from semihand.hand.model_files import MAX_BYTES

REMEDY = "hand model"


@pytest.fixture(scope="module")
def hand():
    return build_generic_hand()


@pytest.fixture
def arrays(hand):
    return {
        "v_template": hand.v_template,
        "f": hand.faces.astype(np.uint32),
        "shapedirs": hand.shapedirs,
        "posedirs": hand.posedirs,
        "J_regressor": hand.J_regressor,
        "weights": hand.weights,
        "kintree_table": np.stack([np.where(hand.kintree < 0, 2**32 - 1, hand.kintree), np.arange(16)]).astype(
            np.uint32
        ),
        "hands_components": hand.hands_components,
        "hands_mean": hand.hands_mean,
    }


def mirrored(arrays):
    """The same hand in a mirror: a left one."""
    flip = np.array([-1.0, 1.0, 1.0])
    turned = np.array([1.0, -1.0, -1.0])  # axis-angle vectors turn the other way
    return arrays | {
        "v_template": arrays["v_template"] * flip,
        "f": arrays["f"][:, ::-1],
        "shapedirs": arrays["shapedirs"] * flip[:, None],
        "hands_mean": (arrays["hands_mean"].reshape(15, 3) * turned).ravel(),
    }


def written(path: Path, content: object) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=2))
    return path


def assert_same_hand(left, right):
    for name in ("v_template", "faces", "shapedirs", "J_regressor", "weights", "kintree", "hands_mean"):
        np.testing.assert_allclose(getattr(left, name), getattr(right, name), atol=1e-12)


def test_a_hand_read_from_npz_and_from_pickle_is_the_hand_that_was_written(hand, arrays, tmp_path):
    np.savez(tmp_path / "hand.npz", **arrays)
    written(tmp_path / "hand.pkl", arrays | {"bs_style": "lbs", "J": np.zeros((16, 3))})
    assert_same_hand(read_hand_model(tmp_path / "hand.npz"), hand)
    assert_same_hand(read_hand_model(tmp_path / "hand.pkl"), hand)


@pytest.mark.parametrize("kind", [scipy.sparse.csc_matrix, scipy.sparse.csr_matrix])
def test_a_sparse_joint_regressor_reads_as_the_dense_one(hand, arrays, tmp_path, kind):
    path = written(tmp_path / "hand.pkl", arrays | {"J_regressor": kind(arrays["J_regressor"])})
    assert_same_hand(read_hand_model(path), hand)


class _Calls:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def payloads(canary: Path):
    import builtins
    import functools
    import os
    import shutil
    import subprocess

    command = f"touch {canary}"
    yield "os.system", _Calls(os.system, command)
    yield "eval", _Calls(builtins.eval, f"open({str(canary)!r}, 'w')")
    yield "exec", _Calls(builtins.exec, f"open({str(canary)!r}, 'w')")
    yield "subprocess", _Calls(subprocess.check_output, ["touch", str(canary)])
    yield "open", _Calls(open, str(canary), "w")
    yield "getattr", _Calls(getattr, command, "upper")
    yield "partial", _Calls(functools.partial, os.system, command)
    yield "copyfile", _Calls(shutil.copyfile, "/etc/hostname", str(canary))
    yield "import", _Calls(__import__, "this")
    yield "numpy.load", _Calls(np.load, str(canary))
    yield "numpy.save", _Calls(np.save, str(canary), np.zeros(3))
    yield "torch.load", _Calls(torch.load, str(canary))
    yield "memmap", _Calls(np.memmap, str(canary), "uint8", "w+", 0, (10,))
    yield "scipy", _Calls(scipy.sparse.save_npz, str(canary), scipy.sparse.eye(2).tocsc())


def test_no_payload_of_a_pickle_runs_and_each_is_refused_by_name(arrays, tmp_path):
    canary = tmp_path / "canary"
    seen = 0
    for name, payload in payloads(canary):
        for content in (arrays | {"weights": payload}, payload, [arrays, payload]):
            path = written(tmp_path / "hand.pkl", content)
            with pytest.raises(ValueError, match="no array needs: refused"):
                read_hand_model(path)
            seen += 1
        assert not canary.exists(), name
    assert seen == 42


def test_a_call_smuggled_through_an_admitted_class_is_refused(arrays, tmp_path):
    path = tmp_path / "hand.pkl"
    path.write_bytes(b"c_codecs\nencode\n(Vtext\nVzlib\ntR.")
    with pytest.raises(ValueError, match="encodes text as 'zlib'"):
        read_hand_model(path)
    path.write_bytes(b"ccopy_reg\n_reconstructor\n(cnumpy\nndarray\nc__builtin__\nobject\nNtR.")
    with pytest.raises(ValueError, match="rebuilds an object"):
        read_hand_model(path)
    path.write_bytes(b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(L8589934592L\ntS'b'\ntR.")
    with pytest.raises(ValueError, match="reserves an array"):
        read_hand_model(path)


def test_reading_leaves_the_classes_it_stands_in_for_as_they_were(arrays, tmp_path):
    before = dict(vars(scipy.sparse.csc_matrix))
    path = tmp_path / "hand.pkl"
    # the BUILD opcode with a slot state sets attributes on whatever stands on the stack, classes too
    path.write_bytes(b"cscipy.sparse.csc\ncsc_matrix\n(N(dVtoarray\nI1\nstb.")
    with pytest.raises(ValueError, match=REMEDY):
        read_hand_model(path)
    assert dict(vars(scipy.sparse.csc_matrix)) == before
    assert_same_hand(read_hand_model(written(tmp_path / "good.pkl", arrays)), build_generic_hand())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: {"weights": a["weights"][:, :15]}, "weights has shape"),
        (lambda a: {"weights": a["weights"].astype(object)}, "type 'O8', not of numbers"),
        (lambda a: {"weights": a["weights"].astype("M8[s]")}, "type 'M8', not of numbers"),
        (lambda a: {"weights": np.zeros(3, [("a", "f8")])}, "not of numbers"),
        (lambda a: {"weights": "0.5"}, "numbers are needed"),
        (lambda a: {"weights": [[0.5]]}, "numbers are needed"),
        (
            lambda a: {"v_template": np.where(np.arange(len(a["v_template"]))[:, None] == 7, np.nan, a["v_template"])},
            "finite",
        ),
        (lambda a: {"hands_mean": np.full(45, np.inf)}, "finite"),
        (lambda a: {"f": a["f"] + 1}, "names vertex"),
        (lambda a: {"v_template": a["v_template"][:700]}, "fingertips"),
        (lambda a: {"kintree_table": np.zeros((2, 16))}, "parents"),
        (lambda a: {"evil": np.zeros(3)}, "unknown keys"),
        (lambda a: {"v_template": np.float64(1.0)}, "numbers are needed|fingertips"),
    ],
)
def test_a_damaged_model_is_refused_with_its_fault_named(arrays, tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        read_hand_model(written(tmp_path / "hand.pkl", arrays | change(arrays)))


def test_a_missing_key_is_named(arrays, tmp_path):
    del arrays["posedirs"]
    with pytest.raises(ValueError, match="missing keys \\['posedirs'\\]"):
        read_hand_model(written(tmp_path / "hand.pkl", arrays))


def test_a_hand_of_778_vertices_must_have_manos_exact_faces(arrays):
    short = {name: array[:778] if len(array) == len(arrays["v_template"]) else array for name, array in arrays.items()}
    short["J_regressor"] = arrays["J_regressor"][:, :778]
    short["f"] = np.zeros((1537, 3), np.uint32)
    with pytest.raises(ValueError, match=r"f has shape \(1537, 3\)"):
        hand_model_from_arrays(short, "test")


def test_truncated_oversized_and_foreign_files_are_refused(arrays, tmp_path):
    whole = written(tmp_path / "hand.pkl", arrays).read_bytes()
    for share in (0.0, 0.1, 0.5, 0.9, 0.999):
        (tmp_path / "hand.pkl").write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ValueError, match=REMEDY):
            read_hand_model(tmp_path / "hand.pkl")
    with (tmp_path / "huge.pkl").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(ValueError, match="the limit is"):
        read_hand_model(tmp_path / "huge.pkl")
    for name in ("missing.pkl", "hand.txt"):
        if name == "hand.txt":
            (tmp_path / name).write_text("x")
        with pytest.raises(ValueError, match=REMEDY):
            read_hand_model(tmp_path / name)


def test_an_npz_with_a_pickle_inside_is_refused(arrays, tmp_path):
    canary = tmp_path / "canary"
    evil = np.empty(1, object)
    evil[0] = next(payloads(canary))[1]
    np.savez(tmp_path / "hand.npz", **(arrays | {"weights": evil}))
    with pytest.raises(ValueError, match="plain arrays"):
        read_hand_model(tmp_path / "hand.npz")
    assert not canary.exists()


def test_an_npz_that_unpacks_beyond_the_limit_is_refused_before_it_is_unpacked(tmp_path):
    np.savez_compressed(tmp_path / "hand.npz", weights=np.zeros(MAX_BYTES // 8 + 100))
    assert (tmp_path / "hand.npz").stat().st_size < MAX_BYTES // 100
    with pytest.raises(ValueError, match="unpacked"):
        read_hand_model(tmp_path / "hand.npz")


def test_the_side_is_read_from_the_content_not_from_the_name(arrays, tmp_path):
    written(tmp_path / "MANO_LEFT.pkl", arrays)
    written(tmp_path / "MANO_RIGHT.pkl", mirrored(arrays))
    assert read_hand_model(tmp_path / "MANO_LEFT.pkl").side == "right"
    assert read_hand_model(tmp_path / "MANO_RIGHT.pkl").side == "left"


def test_the_side_is_found_without_a_mean_pose_too(arrays):
    assert hand_model_from_arrays(arrays | {"hands_mean": np.zeros(45)}, "test").side == "right"
    assert hand_model_from_arrays(mirrored(arrays) | {"hands_mean": np.zeros(45)}, "test").side == "left"


def test_a_left_hand_that_carries_the_right_hands_shape_signs_is_mended(arrays):
    sound = hand_model_from_arrays(mirrored(arrays), "test")
    slipped = mirrored(arrays) | {"shapedirs": arrays["shapedirs"]}
    np.testing.assert_allclose(hand_model_from_arrays(slipped, "test").shapedirs, sound.shapedirs)


def test_turning_the_whole_hand_turns_its_joints_about_the_wrist(hand):
    rng = np.random.default_rng(3)
    layer = hand_layer(hand)
    pose, betas = (
        torch.from_numpy(rng.normal(0, 0.3, (2, 45))).float(),
        torch.from_numpy(rng.normal(0, 1, (2, 10))).float(),
    )
    turn, shift = rng.normal(0, 1, (2, 3)), rng.normal(0, 100, (2, 3))
    _, still = pose_hand(layer, torch.zeros(2, 3), pose, betas, torch.zeros(2, 3))
    _, moved = pose_hand(layer, torch.from_numpy(turn).float(), pose, betas, torch.from_numpy(shift).float())
    for row in range(2):
        wrist = still[row, 0].numpy()
        expected = Rotation.from_rotvec(turn[row]).apply(still[row].numpy() - wrist) + wrist + shift[row]
        np.testing.assert_allclose(moved[row].numpy(), expected, atol=1e-3)


def test_posing_keeps_every_bone_length(hand):
    rng = np.random.default_rng(5)
    pose = torch.from_numpy(rng.normal(0, 0.4, (3, 45))).float()
    _, joints = pose_hand(hand_layer(hand), torch.zeros(3, 3), pose, torch.zeros(3, 10), torch.zeros(3, 3))
    rest = bone_lengths(hand.rest_joints_m[None] * 1000.0)
    # the tip is a vertex of the skin, which bends with more than one bone, so it may give a little
    np.testing.assert_allclose(bone_lengths(joints.numpy().astype(float)), np.repeat(rest, 3, axis=0), atol=0.3)


def test_tips_stand_on_the_skin_at_the_vertices_smplx_names(hand):
    vertices, joints = pose_hand(
        hand_layer(hand), torch.zeros(1, 3), torch.zeros(1, 45), torch.zeros(1, 10), torch.zeros(1, 3)
    )
    assert TIP_VERTICES == (744, 320, 443, 554, 671)
    np.testing.assert_allclose(joints[0, [4, 8, 12, 16, 20]], vertices[0, list(TIP_VERTICES)])


def test_a_layer_prints_nothing(hand, capsys):
    hand_layer(hand)
    assert capsys.readouterr().out == ""
