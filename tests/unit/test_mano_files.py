"""Hand models in MANO's original format: chumpy's arrays, Python 2's pickles, and what a hostile one can cost."""

import io
import pickle
import sys
import time
import tracemalloc
import types

import numpy as np
import pytest
import scipy.sparse
import smplx
import torch

from semihand.hand.mano import hand_layer, read_hand_model
from semihand.hand.pickles import read_pickle
from sets_of_hands import save_mano


@pytest.fixture
def chumpy(monkeypatch):
    """What chumpy's classes are to pickle and numpy, after mattloper/chumpy, ch.py at ceebb48 and reordering.py."""

    class Ch:
        def __init__(self, **terms):
            self.__dict__ |= {"_dirty_vars": {"x"}, "_itr": None, "_make_dense": False, "_make_sparse": False,
                              "_depends_on_deps": {}, "_parents": object(), "_cache": {"r": None}} | terms  # fmt: skip

        def __getstate__(self):
            return {name: value for name, value in self.__dict__.items() if name not in ("_parents", "_cache")}

        @property
        def r(self):
            return self.x

        @property
        def shape(self):
            return self.r.shape

        def __getitem__(self, place):
            return self.r[place]

        def __array__(self, dtype=None, copy=None):
            return np.asarray(self.r, dtype)

    class Select(Ch):
        @property
        def r(self):
            return self.a.r.ravel()[self.idxs].reshape(self.preferred_shape)

    modules = {name: types.ModuleType(name) for name in ("chumpy", "chumpy.ch", "chumpy.reordering")}
    Ch.__module__, Select.__module__ = "chumpy.ch", "chumpy.reordering"
    Ch.__qualname__, Select.__qualname__ = "Ch", "Select"
    modules["chumpy.ch"].Ch, modules["chumpy.reordering"].Select = Ch, Select
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return types.SimpleNamespace(Ch=Ch, Select=Select, leave=lambda: [sys.modules.pop(name) for name in modules])


@pytest.fixture
def arrays(tmp_path):
    with np.load(save_mano(tmp_path / "hand.npz")) as found:
        return dict(found)


@pytest.fixture
def original(arrays, chumpy, tmp_path):
    """A hand as MANO's authors published theirs: chumpy's arrays, shapes a selection of more, a sparse regressor."""
    more = np.concatenate([arrays["shapedirs"], np.ones_like(arrays["shapedirs"])], axis=-1)
    order = np.arange(more.size).reshape(more.shape)[:, :, :10]
    shapes = chumpy.Select(a=chumpy.Ch(x=more), idxs=order.ravel(), preferred_shape=order.shape)
    content = arrays | {
        "weights": chumpy.Ch(x=arrays["weights"]), "posedirs": chumpy.Ch(x=arrays["posedirs"]), "shapedirs": shapes,
        "J_regressor": scipy.sparse.csc_matrix(arrays["J_regressor"]), "bs_style": "lbs", "bs_type": "lrotmin",
        "hands_coeffs": np.zeros((1554, 45)), "J": np.zeros((16, 3)),
    }  # fmt: skip

    def write(protocol):
        path = tmp_path / "MANO_RIGHT.pkl"
        path.write_bytes(pickle.dumps(content, protocol=protocol))
        return path

    return write


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
def test_the_original_format_gives_the_vertices_that_smplxs_own_loader_gives(original, chumpy, protocol, capsys):
    path = original(protocol)
    theirs = smplx.MANO(str(path), is_rhand=True, use_pca=False, flat_hand_mean=True)  # unpickles as chumpy would
    chumpy.leave()
    ours = hand_layer(read_hand_model(path))
    rng = np.random.default_rng(protocol)
    given = {
        name: torch.from_numpy(rng.normal(0, spread, (3, size))).float()
        for name, spread, size in (("global_orient", 1, 3), ("hand_pose", 0.4, 45), ("betas", 1.5, 10))
    }
    expected = theirs(**given, transl=torch.zeros(3, 3)).vertices.detach()
    np.testing.assert_allclose(ours(**given).vertices, expected, atol=1e-6)
    assert expected.std() > 0.01


def bomb(name):
    """Small pickles that cost much."""
    laugh = b"\x80\x02]q\0(" + b"K\1" * 10 + b"e"
    for level in range(1, 12):  # a list of ten times the list before, twelve times over
        laugh += b"]q" + bytes([level]) + b"(" + (b"h" + bytes([level - 1])) * 10 + b"e"
    return {
        "memory at a place far away": b"\x80\x02Nr\0\0\0\x10.",
        "millions of empty lists": b"\x80\x02(" + b"]" * 2**22 + b"l.",
        "an array reserved by its class": b"\x80\x02cnumpy\nndarray\nL4000000000L\n\x85\x81.",
        "an array reserved by its shape": pickle.dumps(np.zeros(3)).replace(b"K\x03", b"K\xff", 1),
        "records that reach beyond their bytes": pickle.dumps(np.zeros(1, {"names": ["a"], "formats": ["f8"],
                                                                           "offsets": [0], "itemsize": 16}), 2),
        "an array of objects": pickle.dumps(np.array([{}], object), 2),
        "lists in lists": laugh + b".",
    }[name]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["memory at a place far away", "millions of empty lists", "an array reserved by its class",
     "an array reserved by its shape", "records that reach beyond their bytes", "an array of objects",
     "lists in lists"],
)  # fmt: skip
def test_a_small_pickle_that_would_cost_much_is_refused_at_once(tmp_path, name):
    path = tmp_path / "hand.pkl"
    path.write_bytes(bomb(name))
    began = time.process_time()
    with pytest.raises(ValueError, match=r"hand\.pkl"):
        read_hand_model(path)
    assert time.process_time() - began < 5
    tracemalloc.start()  # which takes six times as long
    with pytest.raises(ValueError, match=r"hand\.pkl"):
        read_hand_model(path)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert used < 64 * 2**20


def test_lists_that_stand_for_arrays_are_not_spread_out(arrays, chumpy, tmp_path):
    row = [1.0] * 10
    for _ in range(8):
        row = [row] * 10
    for held in (chumpy.Ch(x=row), chumpy.Select(a=chumpy.Ch(x=row), idxs=[0], preferred_shape=(1,))):
        path = tmp_path / "hand.pkl"
        path.write_bytes(pickle.dumps(arrays | {"weights": held}, protocol=2))
        with pytest.raises(ValueError, match="weights"):
            read_hand_model(path)


def test_a_pickle_can_neither_change_numpy_nor_the_stand_ins(tmp_path):
    path = tmp_path / "x.pkl"
    swapped = b"cnumpy\ndtype\n(S'f8'\nI00\nI00\ntR(I3\nS'>'\nNNNI-1\nI-1\nI0\ntb."
    path.write_bytes(swapped)
    read_pickle(path, 1000)
    assert np.dtype("f8").byteorder == "="
    path.write_bytes(b"c_codecs\nencode\nN}V__call__\nNs\x86b.")
    with pytest.raises(ValueError, match="may only mention"):
        read_pickle(path, 1000)
    path.write_bytes(pickle.dumps(np.arange(5.0), 2))
    np.testing.assert_array_equal(read_pickle(path, 1000), np.arange(5.0))


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_all_plain_kinds_come_back_as_they_were(tmp_path, protocol):
    rng = np.random.default_rng(1)
    kept = {
        "doubles": rng.normal(size=(3, 4)), "fortran": np.asfortranarray(rng.normal(size=(3, 4))),
        "big endian": np.arange(4, dtype=">i4"), "booleans": np.array([[True, False]]), "empty": np.zeros((0, 3), "f4"),
        "texts": np.array(["a", "bcd"]), "bytes": np.array([b"a", b"bc"]), "scalar": np.float32(2.5), "none": None,
        "list": [1, 2.5, "x", (True, -7)], "complex": np.array([1 + 2j]), "point": np.array(4.0),
    }  # fmt: skip
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(kept, protocol=protocol))
    found = read_pickle(path, 10**6)
    assert list(found) == list(kept)
    for name, value in kept.items():
        np.testing.assert_array_equal(np.asarray(found[name]), np.asarray(value)) if name != "list" else None
        if isinstance(value, np.ndarray):
            assert found[name].dtype == pickle.loads(pickle.dumps(value, protocol)).dtype
            assert found[name].flags.writeable, "some libraries take no array that is not"
    assert found["list"] == kept["list"]


def test_a_directory_of_a_million_entries_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "hand.npz"
    buffer = io.BytesIO()
    np.savez(buffer, weights=np.zeros(3))
    path.write_bytes(buffer.getvalue() + (b"PK\1\2" + bytes(42)) * 200_000)
    with pytest.raises(ValueError, match="entries"):
        read_hand_model(path)


@pytest.mark.parametrize("protocol", range(6))
def test_tuples_that_many_entries_share_are_read(tmp_path, protocol):
    """As picklers write a tuple that they have written before: by its place in the memory."""
    shared = ("a", (1, 2))
    kept = {shared: [shared] * 1000, ("b", shared): frozenset({shared, ("c",)})}
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(kept, protocol=protocol))
    if protocol < 4:  # which write a frozenset as a call
        kept.popitem()
        path.write_bytes(pickle.dumps(kept, protocol=protocol))
    assert read_pickle(path, 10**6) == kept
