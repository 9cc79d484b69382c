"""frames/line.py: what comes over the line is a packet that fits itself, or a ValueError."""

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lying_decoder import packet

from semihand.frames.line import Line, copies, new_memory

LIES = {
    "a packet of a terabyte": packet("1", num_bytes=2**40),
    "a text longer than its packet": packet("1", num_text=2**31),
    "more buffers than its packet has room for": packet("1", num_buffers=2**32 - 1),
    "buffers that end early": packet("1", [4, 4], b"abc"),
    "buffers that go on": packet("1", [1], b"abc"),
    "no text": packet("\0", num_text=1).replace(b"\0", b"\xff")[:16] + b"\xff",
}


@pytest.mark.parametrize("told", LIES.values(), ids=LIES)
def test_a_packet_that_does_not_fit_itself_is_a_value_error(told):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(told)
        theirs.close()
        with pytest.raises(ValueError, match=r"bytes|codec"):
            Line(ours, most_bytes=2**20).receive(1.0)


@given(st.binary(max_size=40))
def test_whatever_comes_over_the_line_is_a_packet_or_an_end_or_a_value_error(told):
    ours, theirs = socket.socketpair()
    with ours:
        theirs.sendall(told)
        theirs.close()
        try:
            found = Line(ours, most_bytes=2**20).receive(1.0)
        except (ValueError, EOFError):
            return
        assert sum(found.sizes) == sum(map(len, found.buffers or ())) or found.buffers is None


def test_half_a_packet_is_waited_for_no_longer_than_a_whole_one():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for told in (b"", packet("123")[:10], packet("123")[:-1]):
            theirs.sendall(told)
            with pytest.raises(TimeoutError):
                Line(ours).receive(0.05)


def test_shared_memory_is_read_as_far_as_it_goes_and_no_further():
    memory = new_memory()
    with pytest.raises(ValueError, match="4 bytes in a memory of 0"):
        copies(memory, [4], 100)
    os.pwrite(memory, b"abcdefgh", 0)
    first, second = copies(memory, [3, 5], 100)
    os.pwrite(memory, b"--------", 0)
    assert (bytes(first), bytes(second)) == (b"abc", b"defgh")
    for sizes in ([9], [3, 6], [2**63, 2**63], [8, 2**64 - 1]):
        with pytest.raises(ValueError, match="in a memory of 8"):
            copies(memory, sizes, 100)
    os.ftruncate(memory, 2**40)  # which takes no memory
    with pytest.raises(ValueError, match="the limit is 100"):
        copies(memory, [101], 100)
    os.close(memory)
