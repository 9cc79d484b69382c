"""words.py: numbers of things."""

import pytest

from semihand.words import counted


@pytest.mark.parametrize(("num", "said"), [(0, "0 frames"), (1, "1 frame"), (2, "2 frames"), (1001, "1001 frames")])
def test_one_thing_is_not_several(num, said):
    assert counted(num, "frame") == said
