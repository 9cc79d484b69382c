"""What `--help` says of every job: all of its options, in words, and where to begin."""

import importlib.util
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from semihand.command_line import read_config
from semihand.rounds.config import RoundConfig

ROOT = Path(__file__).resolve().parents[2]
JOBS = sorted((ROOT / "jobs").glob("*.py"))
RECIPES = ROOT / "jobs" / "recipes"
_LONGEST = 110  # of a description: a line of the terminal


def config_of(job: Path, monkeypatch) -> type[BaseSettings]:
    """What a job may be told: the class that its `main` takes."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    spec = importlib.util.spec_from_file_location(f"job_{job.stem}", job)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    [config_class] = (each for name, each in typing.get_type_hints(module.main).items() if name != "return")
    return config_class


def models_in(annotation: object) -> list[type[BaseModel]]:
    """The models that a field may hold, such as the one of `GuaranteeConfig | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in models_in(part)]


def options_of(config_class: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every option that a command line can set, by its name."""
    for name, field in config_class.model_fields.items():
        yield prefix + name, field
        for model in models_in(field.annotation):
            yield from options_of(model, f"{prefix}{name}.")


def help_of(config_class: type[BaseSettings], capsys, default: str | None = None) -> str:
    with pytest.raises(SystemExit):
        read_config(config_class, ["--help"], RECIPES, default)
    return capsys.readouterr().out


def test_options_are_walked_to_the_last():
    class Leaf(BaseModel):
        said: int = Field(1, description="a number")
        unsaid: int = 2

    class Root(BaseModel):
        leaf: Leaf | None = None

    assert {name: field.description for name, field in options_of(Root)} == {
        "leaf": None, "leaf.said": "a number", "leaf.unsaid": None,
    }  # fmt: skip
    names = [name for name, _ in options_of(RoundConfig)]
    assert {"select.guarantee.alpha", "train.objective.losses.huber_px"} < set(names)


@pytest.mark.parametrize("job", JOBS, ids=lambda path: path.stem)
def test_every_option_of_a_job_is_described_in_a_line(job, monkeypatch):
    options = dict(options_of(config_of(job, monkeypatch)))
    assert options
    assert [name for name, field in options.items() if not field.description] == []
    said = {name: field.description for name, field in options.items()}
    assert [name for name, text in said.items() if len(text) > _LONGEST or "\n" in text or not text.isascii()] == []


@pytest.mark.parametrize("job", JOBS, ids=lambda path: path.stem)
def test_descriptions_reach_the_terminal(job, monkeypatch, capsys):
    config_class = config_of(job, monkeypatch)
    printed = " ".join(help_of(config_class, capsys).split())
    assert [name for name, field in options_of(config_class) if field.description not in printed] == []
    assert [name for name, _ in options_of(config_class) if f"--{name}" not in printed] == []


def test_help_begins_with_what_to_type_and_ends_with_the_recipes(capsys):
    printed = help_of(RoundConfig, capsys, "laptop")
    assert printed.splitlines()[0].endswith(" [--recipe NAME|FILE.toml] [--OPTION VALUE ...]")
    assert printed.splitlines()[1] == ""
    recipes = printed.partition("A recipe holds options")[2]
    for path in RECIPES.glob("*.toml"):
        assert f"--recipe {path.stem}" in recipes
        assert path.read_text().splitlines()[0].removeprefix("# ") in recipes
    assert recipes.count("The default.") == 1
    assert "freihand:FOLDER" in recipes


def test_a_job_without_recipes_of_its_own_names_none(capsys):
    printed = help_of(RoundConfig, capsys)
    assert printed.splitlines()[0].endswith(" [--recipe FILE.toml] [--OPTION VALUE ...]")
    assert "--recipe FILE.toml" in printed.partition("A recipe holds options")[2]
    assert "--recipe laptop" not in printed


@pytest.mark.parametrize("recipe", sorted((ROOT / "jobs").rglob("*.toml")), ids=lambda path: path.stem)
def test_a_recipe_begins_by_saying_what_it_is(recipe):
    assert recipe.read_text().startswith("# ")


@pytest.mark.parametrize("num_options", [3, 3000], ids=["less than a buffer", "more than a buffer"])
def test_help_ends_quietly_where_nobody_reads_on(num_options):
    code = (
        f"num_options = {num_options}; import sys; from pathlib import Path; from pydantic import create_model; "
        "from pydantic_settings import BaseSettings; from semihand.command_line import run_job; "
        "fields = {f'option_{number}': (int, number) for number in range(num_options)}; sys.argv = ['job', '--help']; "
        "run_job(create_model('Job', __base__=BaseSettings, **fields), print, Path('recipes'), None)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT / "platform"
    ) as job:
        job.stdout.close()
        assert job.stderr.read() == b""
        assert job.wait() == 0
