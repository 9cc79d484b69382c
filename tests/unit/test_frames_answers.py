"""A decoding process that was taken over says what it likes, at the cost of the row that it was at.

frames/answers.py, and who asks: worker.py.
"""

from pathlib import Path

import numpy as np
import pytest
from lying_decoder import answers, index, medium, packet, parts
from sample_pictures import picture, write_folder

from semihand.frames.answers import ANSWERS, FILE_TASKS, check_message
from semihand.frames.errors import BadFrame, InputError
from semihand.frames.limits import STANDARD
from semihand.frames.listing import list_frames
from semihand.frames.medium import Medium, VideoIndex
from semihand.frames.options import ListOptions
from semihand.frames.tasks import TASKS
from semihand.frames.worker import each

RIGHT = ListOptions(hand="right")


def test_every_task_has_answers_of_its_own():
    assert ANSWERS.keys() == TASKS.keys() > FILE_TASKS
    others = ["a", 7, (1,), [None], {"a": 1}, np.zeros((20, 20), np.float32), np.zeros((2, 2, 3), np.uint8)]
    for task in TASKS:
        check_message((), task, STANDARD)
        for message in ([None], (None, None), "a", *((other,) for other in others)):
            with pytest.raises(ValueError, match=r"no answer|instead of"):
                check_message(message, task, STANDARD)


PIXELS = picture(0)
NONSENSE = {
    "noise": (bytes(range(16, 256)), 0, "the limit is"),
    "a pickle": (packet("cos\nsystem\n(S'touch canary'\ntR."), 0, "Expecting value"),
    "a picture that is elsewhere": (packet('["tuple",["array","|u1",[64,64,3],"C"]]', [64 * 64 * 3]), 0, "memory of 0"),
    "a picture of a terabyte": (packet('["tuple",["array","|u1",[64,64,3],"C"]]', [2**40]), 2**41, "the limit is"),
    "a text": (answers("a picture"), 0, "no answer to 'file_picture'"),
    "a picture of numbers": (answers(PIXELS.astype(float)), 0, "no answer"),
    "a picture that is too small": (answers(PIXELS[:8]), 0, "no answer"),
    "an error of the whole input": (answers(InputError("all of it is wrong")), 0, "no answer"),
    "two at once": (packet(*parts((PIXELS, PIXELS))), 0, "instead of an answer"),
    "an end at once": (packet('["tuple"]'), 0, "3 items are without an answer"),
}  # fmt: skip


@pytest.mark.parametrize(("said", "grown", "why"), NONSENSE.values(), ids=NONSENSE)
def test_a_process_that_answers_nonsense_costs_the_row_it_was_at(tmp_path, taken_over, monkeypatch, said, grown, why):
    monkeypatch.chdir(tmp_path)
    paths = write_folder(tmp_path, 3)
    taken_over(said, grown)
    first, *others = each("file_picture", [(path,) for path in paths])
    assert isinstance(first, BadFrame)
    assert first.reason == "crashed"
    assert "answers nonsense" in first.detail
    assert why in first.detail
    for row, found in enumerate(others, 1):
        np.testing.assert_array_equal(found, picture(row))
    assert not Path("canary").exists()


def test_answers_before_the_nonsense_and_all_rows_after_it_are_whole(tmp_path, taken_over):
    paths = write_folder(tmp_path, 4)
    taken_over(answers(picture(0), picture(1), None))
    found = list(each("file_picture", [(path,) for path in paths]))
    assert [row for row, answer in enumerate(found) if isinstance(answer, BadFrame)] == [2]
    for row in (0, 1, 3):
        np.testing.assert_array_equal(found[row], picture(row))


def test_more_answers_than_rows_are_nobodys_and_end_the_process(tmp_path, taken_over):
    path = write_folder(tmp_path, 2)[1]
    taken_over(answers(picture(0), picture(0), picture(0)) + packet('["tuple"]'))
    (found,) = each("file_picture", [(path,)])
    np.testing.assert_array_equal(found, picture(0))  # as it said
    (sound,) = each("file_picture", [(path,)])
    np.testing.assert_array_equal(sound, picture(1))


def test_a_process_that_goes_silent_or_ends_in_the_middle_of_an_answer_costs_its_row(tmp_path, taken_over):
    paths = write_folder(tmp_path, 2)
    for stays, reason in ((True, "too_slow"), (False, "crashed")):
        taken_over(answers(picture(0))[:-1], stays=stays)
        first, second = each("file_picture", [(path,) for path in paths], patience_s=1.0 if stays else None)
        assert first.reason == reason
        np.testing.assert_array_equal(second, picture(1))


@pytest.mark.parametrize(
    "said",
    [
        answers(medium(conversions=("grey",))),
        answers(Medium(None, "a.png", 64 * "0", 64, 64, ())),
        answers(Medium("/a", "a.png", 64 * "0", 2**31, 64, ())),
        answers(Medium("/a", "a", 64 * "0", 64, 64, (), VideoIndex(**index(num_frames=2**40, times=())))),
    ],
    ids=["a dict", "no path", "too wide", "too many frames"],
)
def test_a_listing_goes_on_after_nonsense(tmp_path, taken_over, said):
    write_folder(tmp_path, 3)
    taken_over(said)
    listing = list_frames(tmp_path, RIGHT)
    assert str(listing) == "2 frames, 1 quarantined (1 crashed)"
