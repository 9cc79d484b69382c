"""frames/messages.py: what travels arrives as it was, and nonsense is a ValueError."""

import json
import struct
from fractions import Fraction
from math import isnan
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from lying_decoder import index, medium

from semihand.frames.errors import BadFrame, InputError
from semihand.frames.limits import Limits
from semihand.frames.medium import Medium, VideoIndex
from semihand.frames.messages import read, written
from semihand.reasons import QUARANTINE_REASONS

WHOLE = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(), max_size=8)  # also halves of a pair, which names of files may have
SIZES = st.integers(1, 2**31)


@st.composite
def media(draw):
    num = draw(st.integers(0, 80))
    times = tuple(draw(st.lists(WHOLE, min_size=num, max_size=num)))
    sizes = draw(st.tuples(SIZES, SIZES))
    base = Fraction(draw(WHOLE), draw(st.integers(1, 2**31)))
    video = VideoIndex(Path(draw(TEXTS)), *sizes, 1, num, times, times[:2], base, ("turned",))
    index = draw(st.sampled_from([None, video]))
    return Medium(draw(st.none() | st.just("/a")), "a/b.png", 32 * "0f", *sizes, ("deep", "grey"), index)


def arrays():
    kinds = [
        hnp.boolean_dtypes(),
        hnp.integer_dtypes(endianness="?"),
        hnp.unsigned_integer_dtypes(endianness="?"),
        hnp.floating_dtypes(endianness="?"),
        hnp.unicode_string_dtypes(max_len=3),
    ]
    shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)
    plain = hnp.arrays(st.one_of(kinds), shapes)
    return st.one_of(plain, plain.map(np.asfortranarray), plain.map(lambda array: array[::2] if array.ndim else array))


PROBLEMS = st.builds(BadFrame, st.sampled_from(QUARANTINE_REASONS), TEXTS) | st.builds(InputError, TEXTS)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    WHOLE,
    st.floats(),
    TEXTS,
    st.binary(),
    st.binary().map(bytearray),
    st.binary().map(memoryview),
    st.builds(Path, TEXTS),
    st.builds(lambda number, share: Fraction(number, share), WHOLE, st.integers(1, 2**63 - 1)),
    st.lists(WHOLE, min_size=60, max_size=70),
    arrays(),
    PROBLEMS,
    media(),
)


def nested(values):
    return st.lists(values, max_size=4) | st.lists(values, max_size=4).map(tuple) | st.dictionaries(TEXTS, values)


# Three levels, and those of a video within a medium.
VALUES = LEAVES | nested(LEAVES) | nested(nested(LEAVES)) | nested(nested(nested(LEAVES)))


def sent(value):
    """What arrives on the other side, in memory of its own."""
    text, buffers = written(value)
    text.encode("ascii")
    return read(text, [bytearray(data) for data in buffers])


def assert_same(found, value):
    buffers = (bytearray, memoryview)
    assert isinstance(found, memoryview) if isinstance(value, buffers) else type(found) is type(value)
    if isinstance(value, np.ndarray):
        assert (found.dtype, found.shape) == (value.dtype, value.shape)
        assert found.tobytes() == value.tobytes()
        assert found.flags.writeable
    elif isinstance(value, float):
        assert struct.pack("d", found) == struct.pack("d", value) or (isnan(found) and isnan(value))
    elif isinstance(value, dict):
        assert list(found) == list(value)
        assert_same(list(found.values()), list(value.values()))
    elif isinstance(value, list | tuple):
        assert len(found) == len(value)
        for one, other in zip(found, value, strict=True):
            assert_same(one, other)
    elif isinstance(value, BadFrame | InputError):
        assert found.args == value.args
    else:
        assert found == value


@given(VALUES)
def test_whatever_travels_arrives_as_it_was(value):
    assert_same(sent(value), value)


def test_arrays_keep_the_order_that_they_have_in_memory():
    columns = np.asfortranarray(np.arange(60.0).reshape(3, 20))
    assert sent(columns).flags.f_contiguous
    assert sent(columns.T).flags.c_contiguous
    one_byte, numbers = sent((b"x", np.arange(5.0)))
    assert (one_byte, numbers.flags.aligned, numbers.sum()) == (b"x", True, 10)


@pytest.mark.parametrize(
    "value",
    [
        object(), {1, 2}, 1j, np.float64(1), np.str_("a"), 2**63, -(2**63) - 1, {1: 2}, print, ValueError("a"),
        np.array([{}], object), np.array([b"a"]), np.array([1j]), np.array(["2020-01-01"], "datetime64[D]"),
        np.zeros(2, {"names": ["a"], "formats": ["f8"]}), np.ma.masked_array([1.0, 2.0]), memoryview(b"abcd")[::2],
        Limits(), [[[[[[[[[[[]]]]]]]]]]],
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_does_not_travel_is_our_own_error(value):
    with pytest.raises(TypeError):
        written((value,))


def nonsense():
    """What looks like a message: names of kinds in odd places, sizes that fit or do not."""
    kinds = ["list", "tuple", "whole", "bytes", "buffer", "array", "Path", "Fraction", "BadFrame", "InputError",
             "Medium", "VideoIndex", "object", "<f8", "|u1", "|O", "<U3", "C", "F", "crashed", "__class__"]  # fmt: skip
    leaves = st.one_of(st.none(), st.booleans(), st.integers(-2, 9), st.integers(), st.floats(), st.sampled_from(kinds))
    return st.recursive(
        leaves,
        lambda below: st.one_of(
            st.lists(below, max_size=4),
            st.tuples(st.sampled_from(kinds), below, below).map(list),
            st.tuples(st.just("array"), st.sampled_from(["<f8", "|u1", "<U1", "|b1", "|V8", "|O"]),
                      st.lists(st.sampled_from([0, 1, 2, 8, -1, 2**40, 2**63]), max_size=3),
                      st.sampled_from(["C", "F", "K"])).map(list),
            st.dictionaries(st.sampled_from(["path", "width", "times", "__dataclass_self__"]), below),
        ),
        max_leaves=8,
    )  # fmt: skip


def test_the_last_of_all_letters_travels_in_either_order_of_bytes():
    for order in "<>":
        texts = np.array([["\U0010ffff", "ab"]], f"{order}U2")
        assert sent(texts).tolist() == texts.tolist()


@given(nonsense(), st.lists(st.sampled_from([b"", b"a", bytes(8), bytes(16), 4 * b"\xff"]), max_size=3))
def test_nonsense_is_a_value_or_a_value_error_and_nothing_else(tree, buffers):
    try:
        value = read(json.dumps(tree), buffers)
    except ValueError:
        return
    text, again = written(value)  # only what travels is ever made of it
    assert_same(read(text, [bytearray(data) for data in again]), value)


@given(VALUES, st.data())
@settings(max_examples=50)
def test_a_message_that_lost_or_gained_something_is_a_value_error(value, data):
    text, buffers = written(value)
    with pytest.raises(ValueError, match="buffers"):
        read(text, [*buffers, b""])
    if buffers:
        with pytest.raises(ValueError, match="buffers"):
            read(text, buffers[:-1])
    cut = data.draw(st.integers(0, len(text) - 1))
    if not text[:cut].strip("-+.0123456789e"):  # what is left of a number can be one
        return
    with pytest.raises(ValueError):  # noqa: PT011  (of many kinds)
        read(text[:cut], buffers)


MALFORMED = {
    "no JSON": ("{", [], "Expecting"),
    "no kind": ("[]", [], "no kind"),
    "an unknown kind": ('["os.system", "true"]', [], "no kind"),
    "a kind that is no text": ("[[1]]", [], "no kind"),
    "too deep": ("[" * 100_000, [], "too deep"),
    "deeper than anything": (11 * '["list",' + "1" + 11 * "]", [], "deeper than"),
    "a key twice": ('{"a": 1, "a": 2}', [], "twice"),
    "a number of 65 bits": (str(2**64), [], "64 bits"),
    "digits": (5000 * "9", [], "digits"),
    "an array of objects": ('["array", "|O", [1], "C"]', [bytes(8)], "of type"),
    "an array of records": ('["array", "f8,O", [1], "C"]', [bytes(16)], "of type"),
    "an array of nothings": ('["array", "<U0", [1000000], "C"]', [b""], "of type"),
    "an array of monsters": ('["array", "<U999999999", [1], "C"]', [b""], "not understood"),
    "a negative shape": ('["array", "<f8", [-1, -1], "C"]', [bytes(8)], "of shape"),
    "a shape of truths": ('["array", "<f8", [true], "C"]', [bytes(8)], "of shape"),
    "a shape of thousands": ('["array", "|u1", [' + 999 * "1," + '1], "C"]', [b"a"], "of shape"),
    "a size that does not fit": ('["array", "<f8", [2], "C"]', [bytes(8)], "8 bytes"),
    "a shape beyond all memory": ('["array", "<f8", [0, 4611686018427387904, 8], "C"]', [b""], "big|dimension"),
    "an order of its own": ('["array", "<f8", [1], "A"]', [bytes(8)], "order"),
    "an array of more parts": ('["array", "<f8", [1], "C", 1]', [bytes(8)], "not str"),
    "half a number": ('["whole", "list"]', [bytes(7)], "multiple"),
    "bytes with parts": ('["bytes", 1]', [b""], "nothing"),
    "a third of nothing": ('["Fraction", 1, 0]', [], "denominator"),
    "a reason of its own": ('["BadFrame", "because", "x"]', [], "because"),
    "a reason that is a list": ('["BadFrame", ["list"], "x"]', [], "not str"),
    "a medium of one thing": ('["Medium", {"path": null}]', [], "Field required"),
    "a medium that is none": ('["Medium", 3]', [], "not dict"),
    "a medium of another self": ('["Medium", {"__dataclass_self__": 1}]', [], "no 'Medium' has"),
    "a video of another self": ('["VideoIndex", {"__dataclass_self__": 1}]', [], "no 'VideoIndex' has"),
    "a letter beyond all": ('["array", "<U1", [2], "C"]', [b"a\0\0\0\xff\xff\xff\x7f"], "no text"),
    "a letter just beyond": ('["array", ">U1", [1], "C"]', [b"\0\x11\0\0"], "no text"),
    "a truth of two": ('["array", "|b1", [3], "C"]', [b"\0\1\2"], "no truth"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "buffers", "why"), MALFORMED.values(), ids=MALFORMED)
def test_what_is_malformed_is_a_value_error(text, buffers, why):
    with pytest.raises(ValueError, match=why):
        read(text, buffers)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("Medium", medium(more=1)), ("Medium", medium(width="20")), ("Medium", medium(width=20.0)),
        ("Medium", medium(conversions=["grey"])), ("Medium", medium(conversions=("new",))),
        ("Medium", medium(key="")), ("Medium", medium(key="/a")), ("Medium", medium(key="\\a")),
        ("Medium", medium(key="\udc80")), ("Medium", medium(content_sha256="x")), ("Medium", medium(video=1)),
        ("VideoIndex", index(more=1)), ("VideoIndex", index(times=(0,))), ("VideoIndex", index(num_frames=3)),
        ("VideoIndex", index(times=(0, 1.0))), ("VideoIndex", index(time_base=1.0)), ("VideoIndex", index(path="a")),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_said_of_a_picture_or_video_is_held_to_its_types(kind, fields):
    plain = medium() if kind == "Medium" else index()
    for given_, is_right in ((plain, True), (fields, False)):
        text, buffers = written(given_)
        if is_right:
            read(f'["{kind}",{text}]', buffers)
        else:
            with pytest.raises(ValueError, match=f"error.? for {kind}|no '{kind}' has"):
                read(f'["{kind}",{text}]', buffers)
