"""Recipes, arguments, help and one-line errors: what every job does before and around its work."""

import argparse
import os
import shlex
import sys
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, CliApp, CliSettingsSource, SettingsError

from semihand.frames.errors import InputError, first_line, shown
from semihand.frames.files import check_input
from semihand.frames.sets.named import describe_sets
from semihand.redaction import redact
from semihand.steps.checkpoint import CheckpointError
from semihand.switches import refuse_switches
from semihand.tables import ConcurrentDriver, DamagedTable
from semihand.tables.records import RecordError

Config = TypeVar("Config", bound=BaseSettings)

_MAX_RECIPE_BYTES = 2**18
#: What a user can do something about; FloatingPointError: of a fit that diverged, it names step and frames.
USER_ERRORS = (InputError, ConcurrentDriver, DamagedTable, CheckpointError, RecordError, FloatingPointError)


def run_job(config_class: type[Config], main: Callable[[Config], None], recipes: Path, default: str | None) -> None:
    """Read recipe and command line, run the job, and end with exit code 2 and one line where the input is wrong.

    Args:
        config_class: what the job may be told.
        main: the job.
        recipes: folder of the recipes that `--recipe NAME` knows.
        default: the recipe without `--recipe`; None for none.
    """
    try:
        config = read_config(config_class, sys.argv[1:], recipes, default)
        refuse_switches()
        _check_temporary()
        main(config)
    except USER_ERRORS as error:
        refuse(str(error))


def read_config(config_class: type[Config], arguments: list[str], recipes: Path, default: str | None) -> Config:
    """The configuration: the recipe's values, and above them what the command line says.

    Raises:
        InputError: a recipe is missing or no TOML, or a key or value is not one of the configuration's.
    """
    name, rest = _recipe_of(arguments, default)
    values = {} if name is None else _read_recipe(name, recipes)
    try:
        source = _command_line(config_class, recipes, default)
        return CliApp.run(config_class, cli_args=rest, cli_settings_source=source, **values)
    except ValidationError as error:
        raise InputError(_first_problem(error, name)) from None
    except SettingsError as error:
        raise InputError(f"the command line cannot be read: {error}. See --help.") from None
    except SystemExit:  # after --help
        _leave_output()
        raise


def _check_temporary() -> None:
    """Decoders and what goes to MLflow pass through temporary files."""
    try:
        tempfile.gettempdir()
    except OSError as error:
        raise InputError(
            f"no temporary file can be written: {error.strerror}. Make room in one of these folders, or name another "
            "with TMPDIR."
        ) from error


def where_to_look(campaign: Path) -> str:
    """The last lines of a job: how to see what it left."""
    folder = campaign.expanduser().resolve()
    uri = redact(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder}/mlflow.db")
    query = (
        f'import polars as pl; print(pl.scan_delta("{folder}/tables/labels").group_by("subject_id")'
        '.agg(pl.col("predicted_error_mm").mean()).collect())'
    )
    on_disk = f"mlflow ui --backend-store-uri {shlex.quote(uri)}"
    return "\n".join(
        [
            f"summary: {folder}/summary.json",
            f"rounds side by side: {uri if uri.startswith('http') else on_disk}",
            f"labels: python -c {shlex.quote(query)}",
        ]
    )


def refuse(message: str) -> None:
    """One line for the user, exit code 2."""
    print(f"error: {redact(' '.join(message.split()))}", file=sys.stderr)
    sys.exit(2)


class _Help(argparse.RawDescriptionHelpFormatter):
    """What an option does stands below it: names are too long to leave room beside them."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=8)


def _command_line(
    config_class: type[Config], recipes: Path, default: str | None
) -> CliSettingsSource[argparse.ArgumentParser]:
    """What reads the arguments but `--recipe`, which is out of them by then; its help speaks of that, too."""
    source = CliSettingsSource[argparse.ArgumentParser](config_class, cli_exit_on_error=False, formatter_class=_Help)
    named = "FILE.toml" if default is None else "NAME|FILE.toml"
    source.root_parser.usage = f"%(prog)s [--recipe {named}] [--OPTION VALUE ...]"
    source.root_parser.epilog = _describe_recipes(recipes, default)
    if "frames" in config_class.model_fields:
        source.root_parser.epilog += (
            "\n\nA path to frames may name a public data set, quoted because of its ? and &, as in "
            f"'freihand:/data/FreiHAND_pub_v2?split=training':\n{describe_sets()}"
        )
    return source


def _describe_recipes(recipes: Path, default: str | None) -> str:
    """What `--recipe` takes, and of every recipe of the job its first comment."""
    lines = ["A recipe holds options as TOML; those of the command line stand above them:"]
    for path in [] if default is None else sorted(recipes.glob("*.toml")):
        comment = path.read_text().partition("\n")[0].removeprefix("#").strip()
        lines.append(f"  --recipe {path.stem:<14} {comment}{' The default.' if path.stem == default else ''}")
    return "\n".join([*lines, "  --recipe FILE.toml      your own", "", "None is typed as null."])


def _leave_output() -> None:
    """Write what is left to write; where its reader has gone, as `head` does, let it go without a word."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _recipe_of(arguments: list[str], default: str | None) -> tuple[str | None, list[str]]:
    """Take `--recipe NAME` out of the arguments."""
    rest, name = [], default
    words = iter(arguments)
    for word in words:
        if word == "--recipe":
            name = next(words, None)
            if name is None:
                raise InputError("--recipe needs a name or a path to a TOML file")
        elif word.startswith("--recipe="):
            name = word.removeprefix("--recipe=")
        else:
            rest.append(word)
    return name, rest


def _read_recipe(name: str, recipes: Path) -> dict[str, Any]:
    path = Path(name) if name.endswith(".toml") else recipes / f"{name}.toml"
    known = ", ".join(sorted(found.stem for found in recipes.glob("*.toml")))
    if not path.is_file():
        raise InputError(
            f"--recipe {name}: there is no {path}. Known recipes are {known}; or give a path to a TOML file."
        )
    check_input(path, _MAX_RECIPE_BYTES)
    try:
        return tomllib.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:  # an integer of 5,000 digits is no TOMLDecodeError
        raise InputError(f"--recipe {path} is not TOML: {first_line(error)}. Give a recipe such as {known}.") from error


def _first_problem(error: ValidationError, recipe: str | None) -> str:
    """The first of pydantic's complaints in a line, with the name, the value and the limit."""
    problem = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return (
            f"unknown key {name!r} in recipe {recipe!r}. Remove it, or leave out a recipe made for another job; "
            "see --help for the keys there are."
        )
    if problem["type"] == "missing" and len(problem["loc"]) == 1:
        return f"--{name} is needed. See --help."
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{name} is {shown(problem['input'])}: {problem['msg']}{more}. See --help."
