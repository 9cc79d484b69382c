"""command_line.py: a recipe, options above it, and one line of error with the way out."""

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semihand.command_line import read_config, refuse, run_job, where_to_look
from semihand.frames.errors import InputError
from semihand.frames.limits import STANDARD
from semihand.frames.options import ListOptions
from semihand.rounds.config import RoundConfig
from semihand.rounds.exporting import ExportConfig

RECIPES = Path(__file__).resolve().parents[2] / "jobs" / "recipes"


def read(*arguments: str, default: str | None = "tiny") -> RoundConfig:
    return read_config(RoundConfig, list(arguments), RECIPES, default)


def problem(*arguments: str) -> str:
    """What the user is told; one line."""
    with pytest.raises(InputError) as caught:
        read(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("recipe", sorted(path.stem for path in RECIPES.glob("*.toml")))
def test_every_recipe_of_the_house_can_be_read_by_name_and_by_path(recipe):
    by_name = read("--recipe", recipe)
    assert read(f"--recipe={recipe}") == by_name
    assert read("--recipe", str(RECIPES / f"{recipe}.toml")) == by_name


def test_the_recipe_stands_above_the_defaults_and_the_command_line_above_both():
    assert read().network.width == 16  # tiny.toml
    assert read(default=None).network.width == RoundConfig().network.width
    changed = read("--network.width", "24", "--rounds", "7", "--train.objective.losses.depth_weight", "40")
    assert (changed.network.width, changed.rounds, changed.train.objective.losses.depth_weight) == (24, 7, 40.0)
    assert changed.network.depth == read().network.depth  # the recipe's own, beside the changed one
    assert changed.network.decoder_channels == read().network.decoder_channels


@given(st.integers(1, 10**6), st.floats(0, 1), st.integers(2, 64))
@settings(max_examples=25)
def test_a_value_of_the_command_line_arrives_as_it_was_typed(steps, share, views):
    typed = {"train.num_steps": steps, "train.selected_share": share, "label.views.num_views": views}
    config = read(*(word for name, value in typed.items() for word in (f"--{name}", repr(value))))
    assert (config.train.num_steps, config.train.selected_share) == (steps, share)
    assert config.label.views.num_views == views


def test_lists_paths_and_switches_are_understood():
    config = read("--box", "[4,5,60,70]", "--frames", "a folder/with blanks", "--control", "--hand", "left")
    assert config.frames == Path("a folder/with blanks")
    assert list(config.box) == [4, 5, 60, 70]
    assert (config.control, config.hand) == (True, "left")
    assert read("--no-control").control is False


def test_none_is_typed_as_null(tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text('hand = "left"\n[find]\nmin_score = 0.5\n')
    config = read("--recipe", str(recipe), "--hand", "null", "--find.min_score", "null")
    assert (config.hand, config.find.min_score) == (None, None)


def test_a_camera_arrives_where_frames_are_listed():
    assert ListOptions.said_by(read("--intrinsics", "900,901,640,360")).intrinsics == (900, 901, 640, 360)
    assert ListOptions.said_by(read()).intrinsics is None


def test_what_is_needed_and_not_said_is_named():
    with pytest.raises(InputError, match=r"^--out is needed\. See --help\.$"):
        read_config(ExportConfig, ["--formats", "coco"], RECIPES, None)


def test_a_choice_of_numbers_is_understood_and_anything_else_refused():
    config = read("--network.input_px", "128", "--data.size_px", "256")
    assert (config.network.input_px, config.data.size_px) == (128, 256)
    assert "64, 128 or 256" in problem("--network.input_px", "100")


def test_limits_are_settings_like_any_other():
    config = read("--limits.max_pixels", "1000000", "--limits.max_item_s", "2.5")
    assert (config.limits.max_pixels, config.limits.max_item_s) == (1_000_000, 2.5)
    assert ListOptions.said_by(config).limits == config.limits
    assert read().limits == STANDARD
    assert "limits.max_pixels" in problem("--limits.max_pixels", "0")


def test_the_environment_changes_nothing(monkeypatch):
    for name in ("ROUNDS", "FRAMES", "SEED", "CAMPAIGN"):
        monkeypatch.setenv(name, "17")
    assert read() == read_config(RoundConfig, ["--recipe", "tiny"], RECIPES, None)
    assert read().rounds == 1


def test_an_unknown_key_of_a_recipe_is_named(tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text("rounds = 2\n[train]\nnum_stepz = 5\n")
    message = problem("--recipe", str(recipe))
    assert "'train.num_stepz'" in message
    assert str(recipe) in message


@pytest.mark.parametrize("typed", ["--nonsense 3", "--train.nonsense=3", "nonsense", "--network nonsense"])
def test_a_command_line_that_makes_no_sense_is_one_line_too(typed):
    message = problem(*typed.split())
    assert "nonsense" in message or "network" in message
    assert "--help" in message


def test_help_is_no_error(capsys):
    with pytest.raises(SystemExit) as ended:
        read("--help")
    assert ended.value.code == 0
    assert "--train.num_steps" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--rounds", "0"), "rounds is '0'"),
        (("--rounds", "many"), "rounds is 'many'"),
        (("--network.input_px", "65"), "network.input_px is 65"),
        (("--protocol", "coco"), "protocol is 'coco'"),
        (("--calibrate.num_frames", "3"), "calibrate.num_frames is '3'"),
        (("--train.ema_decay", "1.0"), "train.ema_decay is '1.0'"),
    ],
)
def test_a_wrong_value_is_named_with_its_limit(arguments, said):
    message = problem(*arguments)
    assert said in message
    assert "Input should be" in message
    assert "--help" in message


def test_of_several_wrong_values_the_first_is_named_and_the_others_counted(tmp_path):
    recipe = tmp_path / "wrong.toml"
    recipe.write_text("rounds = -1\nframe_step = 0\n")
    assert "and 1 more" in problem("--recipe", str(recipe))


def test_a_recipe_that_is_not_there_is_answered_with_those_that_are():
    message = problem("--recipe", "gigantic")
    assert "--recipe gigantic" in message
    assert all(path.stem in message for path in RECIPES.glob("*.toml"))
    assert "nowhere.toml" in problem("--recipe", "nowhere.toml")


def test_a_recipe_that_is_no_toml_or_no_text_is_refused(tmp_path):
    for name, data in (("broken.toml", b"rounds = = 2"), ("bytes.toml", b"\xff\xfe\x00")):
        (tmp_path / name).write_bytes(data)
        assert f"{name} is not TOML" in problem("--recipe", str(tmp_path / name))


def test_a_recipe_option_without_a_name_is_refused():
    assert "--recipe needs a name" in problem("--recipe")


def test_a_user_error_ends_with_code_2_and_one_line(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["job", "--recipe", "tiny"])

    def main(config: RoundConfig) -> None:
        raise InputError("frames is 'x',\nwhich is not there")

    with pytest.raises(SystemExit) as ended:
        run_job(RoundConfig, main, RECIPES, "tiny")
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert printed.err == "error: frames is 'x', which is not there\n"
    assert printed.out == ""


def test_a_wrong_argument_ends_with_code_2_before_the_job_begins(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["job", "--rounds", "none"])
    with pytest.raises(SystemExit) as ended:
        run_job(RoundConfig, lambda config: pytest.fail("the job began"), RECIPES, "tiny")
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_our_own_slips_keep_their_traceback(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["job"])

    def main(config: RoundConfig) -> None:
        raise KeyError("slip")

    with pytest.raises(KeyError):
        run_job(RoundConfig, main, RECIPES, "tiny")


def test_a_refusal_is_always_one_line(capsys):
    with pytest.raises(SystemExit):
        refuse("two\n  lines")
    assert capsys.readouterr().err == "error: two lines\n"


def test_where_to_look_names_the_campaign_and_can_be_pasted(tmp_path, monkeypatch):
    import shlex

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = tmp_path / "a campaign"
    lines = where_to_look(folder).splitlines()
    assert lines[0] == f"summary: {folder}/summary.json"
    command = shlex.split(lines[1].split(": ", 1)[1])
    assert command[:2] == ["mlflow", "ui"]
    assert command[-1] == f"sqlite:///{folder}/mlflow.db"
    query = shlex.split(lines[2].split(": ", 1)[1])
    assert query[:2] == ["python", "-c"]
    compile(query[2], "query", "exec")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking:5000")
    assert "http://tracking:5000" in where_to_look(folder)
