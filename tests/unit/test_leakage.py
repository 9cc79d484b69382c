"""rounds/leakage.py: whom a campaign is judged by is refused among its frames, unless it is meant, and said."""

from dataclasses import replace
from pathlib import Path

import pytest
from frames_tables import as_table, with_column

from semihand.command_line import read_config
from semihand.frames.errors import InputError
from semihand.frames.synthetic import SyntheticConfig, generate_frames
from semihand.rounds.campaign import open_campaign
from semihand.rounds.config import RoundConfig
from semihand.rounds.inputs import check_inputs
from semihand.rounds.leakage import refuse_leakage
from semihand.rounds.sets import check_leakage
from semihand.steps.checking.sharing import WHO
from semihand.tables import Store
from semihand.tables.rows import take_rows

RECIPES = Path(__file__).resolve().parents[2] / "jobs" / "recipes"


@pytest.fixture(scope="module")
def labelled():
    """Thirty frames of truth without people or recordings."""
    config = SyntheticConfig(domain="target", supervision="mano", num_frames=30, seed=13, size_px=32)
    frames = generate_frames(config, range(30))
    return with_column(frames, "box_source", ["given"] * 30)


@pytest.fixture
def named(labelled, tmp_path, monkeypatch):
    """Writes a pool and a judging set whose columns are given, and checks a campaign's inputs with them."""
    monkeypatch.setattr("semihand.rounds.inputs.LEAST_FRAMES", 5)

    def check(option, pool, judge, *words):
        for name, rows, columns in (("pool", range(20), pool), ("judge", range(20, 30), judge)):
            frames = take_rows(labelled, list(rows))
            for column, value in ({"subject_id": None, "sequence_id": None} | columns).items():
                frames = with_column(frames, column, value if isinstance(value, list) else [value] * frames.num_rows)
            as_table(tmp_path / name, frames)
        words = ("--recipe", "tiny", "--campaign", tmp_path / "campaign", "--frames", tmp_path / "pool",
                 f"--{option}", tmp_path / "judge", *words)  # fmt: skip
        config = read_config(RoundConfig, [str(word) for word in words], RECIPES, None)
        check_inputs(config, begun=False)
        return config

    return check


@pytest.mark.parametrize("option", ["evaluation", "calibration"])
@pytest.mark.parametrize("column", ["subject_id", "sequence_id"])
def test_a_person_or_recording_on_both_sides_is_refused_by_name_before_anything_is_made(
    named, option, column, tmp_path
):
    judge = {column: ["anna", "ben", *["cleo"] * 8]}
    kind = column.removesuffix("_id")
    with pytest.raises(InputError, match=rf"--{option} .*judge shares 2 {kind}s \(anna, ben\) .*--transductive"):
        named(option, {column: ["anna", "ben", *["dora"] * 18]}, judge)
    assert not (tmp_path / "campaign").exists()
    named(option, {column: ["anna", "ben", *["dora"] * 18]}, judge, "--transductive")
    named(option, {column: "dora"}, judge)


@pytest.mark.parametrize("unknown", [None, ""])
def test_who_is_not_known_is_not_refused(named, unknown):
    named("evaluation", {"subject_id": unknown, "sequence_id": unknown}, {"subject_id": unknown})


def test_the_same_picture_on_both_sides_is_refused(named, labelled):
    twice = {name: labelled[name].to_pylist()[10:20] for name in ("image", "content_sha256")}
    with pytest.raises(InputError, match=r"shares 10 pictures \(sha256 "):
        named("evaluation", {}, twice)


def campaign_with_pool(folder, frames):
    """A campaign whose pool has been taken in, as the ingest step leaves it."""
    campaign = open_campaign(RoundConfig(campaign=folder / "campaign"))
    campaign.store.append("frames", frames)
    return campaign


def made(domain, seed, num, **more):
    return generate_frames(SyntheticConfig(domain=domain, seed=seed, num_frames=num, size_px=32, **more), range(num))


@pytest.fixture
def source(tmp_path):
    Store(tmp_path / "source").create(["frames"])
    Store(tmp_path / "source").append("frames", made("source", 1, 12))
    return tmp_path / "source"


def test_the_sets_made_by_code_show_the_same_people_and_are_not_refused_but_said(source, tmp_path):
    pool, evaluation = made("target", 1001, 24), made("target", 2001, 24, supervision="mano")
    people = set(pool["subject_id"].to_pylist()) & set(evaluation["subject_id"].to_pylist())
    assert people
    campaign = campaign_with_pool(tmp_path, pool)
    tags = check_leakage(campaign, source, evaluation, lambda: evaluation)
    assert tags["transductive"] == "false"
    assert tags["shared_with_evaluation"].startswith(f"{len(people)} subjects (target-")
    assert tags["shared_with_calibration"] == "nothing"


def test_in_a_round_the_pool_as_it_is_by_then_is_compared(source, tmp_path):
    begun = campaign_with_pool(tmp_path, made("target", 1001, 12, num_subjects=6))
    campaign = replace(begun, config=begun.config.model_copy(update={"evaluation": tmp_path}))
    judge = made("target", 5, 6, first_subject=6, num_subjects=3)
    assert check_leakage(campaign, source, judge, lambda: judge)["shared_with_evaluation"] == "nothing"
    campaign.store.append("frames", made("target", 7, 1, first_subject=8))
    with pytest.raises(InputError, match=r"--evaluation .* shares 1 subject \(target-008\) with"):
        check_leakage(campaign, source, judge, lambda: judge)


def test_frames_held_out_of_the_source_calibrate_and_may_not_be_in_the_pool(tmp_path, source):
    frames = made("source", 1, 12)
    config = RoundConfig(campaign=tmp_path / "c", frames=tmp_path, source=str(source))
    pool = with_column(frames.select(WHO), "content_sha256", [f"other {row}" for row in range(12)])
    with pytest.raises(InputError, match=r"frames held out of the source\) shares \d+ subjects \(source-"):
        refuse_leakage(config, pool, {"calibration": frames})
    meant = config.model_copy(update={"transductive": True})
    assert refuse_leakage(meant, pool, {"calibration": frames})["transductive"] == "true"


def test_a_campaign_goes_on_when_it_is_said_later_that_it_is_meant(tmp_path):
    open_campaign(RoundConfig(campaign=tmp_path / "campaign"))
    again = open_campaign(RoundConfig(campaign=tmp_path / "campaign", transductive=True))
    assert again.config.transductive
