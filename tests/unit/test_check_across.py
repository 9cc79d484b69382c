"""steps/checking/across.py: what sets share with one another, and the splits of one."""

import io

import numpy as np
import pyarrow as pa
import pytest
from checked_sets import changed, check
from frames_tables import as_table, png
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from semihand.frames.options import ListOptions
from semihand.steps.checking import across
from semihand.steps.checking.sets import GivenSet, check_sets
from semihand.tables import content_sha256
from semihand.tables.rows import take_rows


@pytest.fixture(scope="module")
def two_sets(hands, tmp_path_factory):
    """A pool, and a set to be judged by that holds two of its pictures, one of them coded anew, and two subjects."""
    folder = tmp_path_factory.mktemp("two")
    pool = changed(take_rows(hands, np.arange(36)), subject_id=[f"s{row % 12}" for row in range(36)])
    images = [hands["image"][row].as_py() for row in (3, 4, 40, 41)]
    larger = Image.open(io.BytesIO(images[0])).convert("RGB").resize((90, 90), Image.Resampling.BILINEAR)
    images[0] = png(np.asarray(larger))
    judged = changed(
        take_rows(hands, [3, 4, 40, 41]), image=images, subject_id=["s3", "s4", "new", None],
        frame_id=[f"judged {row}" for row in range(4)], content_sha256=[content_sha256(image) for image in images],
    )  # fmt: skip
    as_table(folder / "pool", pool)
    as_table(folder / "judged", judged)
    return folder, pa.concat_tables([pool, judged])


def compare(folder, roles, transductive=False):
    given_sets = [GivenSet(role, role, str(folder / name)) for role, name in roles.items()]
    return check_sets(given_sets, ListOptions(), transductive)


@pytest.mark.parametrize(
    ("role", "transductive", "severities"),
    [("evaluation", False, ("error", "warning")), ("calibration", False, ("error", "warning")),
     ("evaluation", True, ("note", "note")), ("source", False, ("note", "note")),
     ("source_2d", False, ("note", "note"))],
)  # fmt: skip
def test_what_a_pool_shares_with_a_set_that_judges_is_an_error_unless_it_is_meant(
    two_sets, role, transductive, severities
):
    checked = compare(two_sets[0], {"frames": "pool", role: "judged"}, transductive)
    found = {each.code: each for each in checked.findings if " and " in each.set}
    assert {code: each.count for code, each in found.items()} == {
        "shared_subject": 2, "shared_picture": 1, "near_duplicate": 1,
    }  # fmt: skip
    assert found["shared_subject"].frames == ("s3", "s4")
    assert (found["shared_picture"].severity, found["near_duplicate"].severity) == severities
    assert [pair.rows for pair in checked.alike] == [(3, 0)]
    assert checked.alike[0].correlation > 0.95


@pytest.mark.parametrize("judge", ["evaluation", "calibration"])
@pytest.mark.parametrize("transductive", [True, False])
def test_what_is_learned_from_by_joints_in_the_picture_may_not_be_judged_by_either(two_sets, judge, transductive):
    checked = compare(two_sets[0], {"source_2d": "pool", judge: "judged"}, transductive)
    found = {each.code: each.severity for each in checked.findings if " and " in each.set}
    assert found["shared_subject"] == found["shared_picture"] == ("note" if transductive else "error")


def test_of_very_many_pictures_some_are_compared_evenly_and_all_by_their_bytes(two_sets, monkeypatch):
    monkeypatch.setattr("semihand.steps.checking.across.MOST_PAIRS", 4 * 9)
    checked = compare(two_sets[0], {"frames": "pool", "evaluation": "judged"})
    found = {each.code: each for each in checked.findings if " and " in each.set}
    thinned = found["thinned"]
    assert (thinned.severity, thinned.count, thinned.num_checked) == ("note", 36 - 9, 40)
    assert found["shared_picture"].count == 1
    assert {pair.rows[0] for pair in checked.alike} <= set(np.linspace(0, 35, 9).astype(int))


@given(st.integers(0, 400), st.integers(0, 400))
def test_thinned_groups_make_no_more_pairs_than_the_limit_and_a_small_one_stays_whole(num, num_others):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(across, "MOST_PAIRS", 900)
        kept = across._thinned(np.arange(num), np.arange(num_others))
    sizes = [len(rows) for rows in kept]
    assert sizes[0] * sizes[1] <= 900
    assert sizes == [num, num_others] or sizes[0] * sizes[1] > 900 / 2
    assert all(len(np.unique(rows)) == len(rows) for rows in kept)
    assert all(len(rows) == whole for rows, whole in zip(kept, (num, num_others), strict=True) if whole <= 30)


def test_the_splits_of_one_set_are_compared(two_sets, tmp_path):
    splits = ["train"] * 36 + ["test"] * 4
    both = changed(two_sets[1], split=splits, sequence_id=[f"q{row // 30}" for row in range(40)])
    checked = check(tmp_path / "both", both)
    across = {each.code: (each.severity, each.count) for each in checked.findings if " and " in each.set}
    assert across == {
        "shared_picture": ("warning", 1), "shared_sequence": ("note", 1), "near_duplicate": ("warning", 1),
    }  # fmt: skip
