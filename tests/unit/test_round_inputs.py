"""rounds/inputs.py: what two teachers and a projection need is asked for before anything is made."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from frames_tables import as_table, with_column

from coloured_hands import FINDER, RIGHT, localiser_folder, png, scene
from semihand.command_line import read_config
from semihand.frames.errors import InputError
from semihand.frames.options import ListOptions
from semihand.rounds.campaign import open_campaign
from semihand.rounds.config import RoundConfig
from semihand.rounds.evaluation import look_without_truth
from semihand.rounds.given_frames import check_pool, known_frames, pool_options
from semihand.rounds.inputs import check_inputs
from semihand.rounds.localiser import check_localiser, keep_localiser, kept_localiser
from semihand.steps.following import FindConfig
from semihand.steps.subjects import template_of_frames
from semihand.tables import Store, as_numpy, fixed_list_column

RECIPES = Path(__file__).resolve().parents[2] / "jobs" / "recipes"


def check(*words, begun=False):
    check_inputs(read_config(RoundConfig, [*words, "--recipe", "tiny"], RECIPES, None), begun)


@pytest.mark.parametrize(
    "words", [("--label.combine", "mean"), ("--select.weighting", "divergence")], ids=lambda words: words[0]
)
def test_what_needs_two_teachers_says_so(words, teacher):
    with pytest.raises(InputError, match=f"{' '.join(words)} needs two teachers: .* --second_teacher"):
        check(*words)
    check(*words, "--second_teacher", str(teacher))


def test_a_second_teacher_that_is_none_is_named_unless_a_campaign_goes_on_with_its_copy(tmp_path):
    with pytest.raises(InputError, match=f"--second_teacher {tmp_path} is no model folder"):
        check("--second_teacher", str(tmp_path))
    check("--second_teacher", str(tmp_path), begun=True)


def test_a_source_without_one_whole_hand_is_refused_unless_a_teacher_knows_one(source_frames, teacher, tmp_path):
    tips_mm = as_numpy(source_frames["joints_mm"]).copy()
    tips_mm[:, 0] = np.nan
    valid = np.isfinite(tips_mm).all(-1).tolist()
    store = Store(tmp_path)
    store.create(["frames"])
    tips = with_column(source_frames, "joints_mm", fixed_list_column(tips_mm))
    store.append("frames", with_column(tips, "joints_valid", valid))
    words = ["--source", str(tmp_path), "--calibration", str(tmp_path)]
    with pytest.raises(InputError, match="none of 8 frames with 3D truth has all 21 joints"):
        check(*words)
    with pytest.raises(InputError, match="8 frames with 3D truth, but 20 are the least"):  # the next thing asked
        check(*words, "--teacher", str(teacher))
    with pytest.raises(ValueError, match="none of 8 source frames has all 21 joints"):
        template_of_frames(tips)


def test_two_teachers_must_read_the_same_crops(teacher):
    with pytest.raises(InputError, match=r"--second_teacher .* reads crops of 64 px .* of 64 px and margin 1.5"):
        check("--second_teacher", str(teacher), "--crop_margin", "1.5")


def test_a_projection_by_a_teacher_without_a_palm_is_refused(teacher):
    with pytest.raises(InputError, match=r"--label.correct.method projection needs the palm of a hand"):
        check("--teacher", str(teacher), "--label.correct.method", "projection")
    check("--label.correct.method", "projection")  # pre-training will write one


@pytest.mark.parametrize("as_store", [False, True])
def test_a_source_without_masks_is_refused_where_masks_are_learned_from(tmp_path, source_frames, monkeypatch, as_store):
    monkeypatch.setattr("semihand.rounds.inputs.LEAST_FRAMES", 8)

    def check_with(num_masks, *words):
        masks = [mask if row < num_masks else None for row, mask in enumerate(source_frames["mask_png"].to_pylist())]
        frames, source = with_column(source_frames, "mask_png", masks), tmp_path / f"{num_masks}.parquet"
        checked = as_table(tmp_path / str(num_masks), frames)
        if as_store:
            source = checked
        else:
            pq.write_table(frames, source)
        check("--source", str(source), "--calibration", str(checked), *words)

    weighing = ("--train.objective.losses.cross_modal_weight", "0.1")
    check_with(1)
    with pytest.raises(InputError, match=r"--source .* has 1 frames to train on with mask_png .* needs 2"):
        check_with(1, *weighing)
    check_with(2, *weighing)


def test_a_localiser_that_is_none_is_named_before_anything_is_made(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"--localiser .*away: no such folder"):
        check("--localiser", str(tmp_path / "away"))
    with pytest.raises(InputError, match=f"--localiser {tmp_path} is no localiser that can be read"):
        check("--localiser", str(tmp_path))
    check("--localiser", str(tmp_path), begun=True)  # a campaign goes on with its copy
    monkeypatch.setattr("semihand.rounds.localiser.HandFinder", FINDER)
    localiser = localiser_folder(tmp_path / "good")
    check("--localiser", str(localiser), "--find.min_score", "0.7")
    (localiser / "weights.safetensors").write_text("{torn")
    with pytest.raises(InputError, match=f"--localiser {localiser} is no localiser that can be read"):
        check("--localiser", str(localiser))
    with pytest.raises(InputError, match=r"find.min_score is '1.5'"):
        check("--find.min_score", "1.5")


def test_a_campaign_keeps_its_localiser_and_knows_it_by_its_weights(tmp_path, monkeypatch):
    monkeypatch.setattr("semihand.rounds.localiser.HandFinder", FINDER)
    given, campaign = localiser_folder(tmp_path / "given"), tmp_path / "campaign"
    campaign.mkdir()
    keep_localiser(None, campaign)
    assert kept_localiser(campaign) is None
    keep_localiser(given, campaign)
    before = check_localiser(given, FindConfig())
    localiser_folder(given, min_score=0.9)
    keep_localiser(given, campaign)
    kept = kept_localiser(campaign)
    assert check_localiser(kept, FindConfig()) == before != check_localiser(given, FindConfig())
    assert before == hashlib.sha256((kept / "weights.safetensors").read_bytes()).hexdigest()
    assert [path.name for path in campaign.iterdir()] == ["localiser"]


def test_with_a_localiser_a_pool_need_not_say_box_or_side_and_judging_sets_must(tmp_path):
    (tmp_path / "hand.png").write_bytes(png(scene((RIGHT, 5, 5, 20, 20))))
    words = ["--recipe", "tiny", "--frames", str(tmp_path)]
    without, found = (read_config(RoundConfig, [*words, *more], RECIPES, None) for more in ([], ["--localiser", "x"]))
    with pytest.raises(InputError, match=r"pass --hand left\|right"):
        check_pool(without, tmp_path)
    assert check_pool(found, tmp_path)["box_source"].to_pylist() == [None]
    with pytest.raises(InputError, match=r"pass --hand left\|right"):
        known_frames(found, tmp_path)
    words += ["--hand", "right", "--subject_id", "anna"]
    assert check_pool(read_config(RoundConfig, words, RECIPES, None), tmp_path)["subject_id"].to_pylist() == ["anna"]
    named = pool_options(found, Path("freihand:/data"))
    assert (named.find_box, named.find_hand) == (True, False)


def test_label_free_figures_of_frames_without_a_hand_say_how_to_find_more(tmp_path, teacher, monkeypatch):
    monkeypatch.setattr("semihand.rounds.localiser.HandFinder", FINDER)
    frames, localiser = tmp_path / "frames", localiser_folder(tmp_path / "localiser")
    frames.mkdir()
    (frames / "none.png").write_bytes(png(scene()))
    with pytest.raises(InputError, match=r"finds no hand in any frame; lower --find.min_score"):
        look_without_truth(frames, teacher, ListOptions(), localiser)


def test_a_new_campaign_goes_into_no_folder_that_holds_other_things(tmp_path):
    folder = tmp_path / "campaign"
    folder.mkdir()
    (folder / "round.log").write_text("what tee wrote")
    (folder / "config.tmp").write_text("what a start left")
    (folder / "driver.lock").write_text("what it held")
    open_campaign(RoundConfig(campaign=folder))
    open_campaign(RoundConfig(campaign=folder))
    (tmp_path / "pictures" / "0").mkdir(parents=True)
    with pytest.raises(InputError, match=r"pictures is no campaign and holds other things \(0\)"):
        open_campaign(RoundConfig(campaign=tmp_path / "pictures"))
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["0"]
