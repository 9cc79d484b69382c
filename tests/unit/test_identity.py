"""Who a frame is."""

import hashlib
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semihand.tables import content_sha256, frame_id

keys = st.text(min_size=1, max_size=12).filter(lambda key: key[0] not in "/\\")
parts = st.tuples(
    st.text(min_size=1, max_size=8), keys, st.none() | st.integers(0, 99), st.none() | st.text(max_size=5),
    st.none() | st.text(max_size=5),
)  # fmt: skip


def spelled(part: tuple) -> tuple:
    return (part[0], unicodedata.normalize("NFC", part[1].replace("\\", "/")), *part[2:])


@given(parts, parts)
def test_two_frames_share_an_id_only_if_they_are_the_same_frame(one, other):
    assert (frame_id(*one) == frame_id(*other)) == (spelled(one) == spelled(other))


def test_the_id_is_32_hexadecimal_digits_and_never_changes_between_versions():
    # Half of the sha256 that `printf '["d","a/b.png",7,"left",null]' | sha256sum` prints.
    text = '["d","a/b.png",7,"left",null]'
    assert frame_id("d", "a/b.png", 7, "left") == hashlib.sha256(text.encode()).hexdigest()[:32]


def test_moving_a_text_from_one_part_to_its_neighbour_makes_another_frame():
    assert frame_id("ab", "c") != frame_id("a", "bc")
    assert frame_id("a", 'b",null') != frame_id("a", "b")


def test_the_same_file_listed_on_another_system_is_the_same_frame():
    assert frame_id("d", "deep\\hånd.png") == frame_id("d", unicodedata.normalize("NFD", "deep/hånd.png"))


def test_an_instance_number_may_be_written_as_a_number_or_a_word():
    assert frame_id("d", "k", instance=3) == frame_id("d", "k", instance="3") != frame_id("d", "k")


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [(("", "k"), "''"), (("d", ""), "''"), (("d", "/root/k.png"), "/root/k.png"), (("d", "k", -1), "-1")],
)
def test_what_cannot_name_a_frame_is_refused_with_its_value(arguments, wrong):
    with pytest.raises(ValueError, match=wrong):
        frame_id(*arguments)


def test_the_content_digest_is_plain_sha256():
    assert content_sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
