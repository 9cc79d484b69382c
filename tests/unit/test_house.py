"""The house itself: the folder called platform, the recipes, the jobs, the import of the top."""

import platform
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_the_standard_librarys_platform_is_not_shadowed() -> None:
    assert platform.system()
    assert "semihand" not in str(platform.__file__)


def test_the_source_root_holds_no_module_of_its_own() -> None:
    assert [path.name for path in (ROOT / "platform").glob("*.py")] == []


def test_the_standard_librarys_platform_survives_from_the_repository_root() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import platform, uuid; print(platform.system())"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, platform.system())


def test_importing_the_package_imports_no_room() -> None:
    code = "import sys, semihand; print([name for name in sys.modules if name.startswith('semihand.')])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "platform"
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("job", sorted((ROOT / "jobs").glob("*.py")), ids=lambda path: path.name)
def test_a_job_can_be_run_by_its_name_alone(job: Path) -> None:
    assert job.read_text().startswith("#!/usr/bin/env python3\n")
    assert job.stat().st_mode & stat.S_IXUSR


def test_torch_is_pinned_where_it_would_drag_in_another() -> None:
    assert '"torch==2.13.0"' in (ROOT / "pyproject.toml").read_text()
    assert "\ntorch==2.13.0\n" in (ROOT / "constraints.txt").read_text()


def requirements() -> dict[str, tuple[str, int]]:
    """By package: the version that is locked, and how many hashes it may have."""
    found: dict[str, tuple[str, int]] = {}
    for entry in re.split(r"\n(?=\w)", (ROOT / "requirements.lock").read_text()):
        name, _, version = entry.partition("==")
        if version:
            found[normal(name)] = version.split()[0], len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry))
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_everything_that_users_install_is_locked_by_hash_to_what_was_tested() -> None:
    locked = requirements()
    tested = {normal(name): version for name, version in re.findall(
        r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE
    )}  # fmt: skip
    assert len(locked) > 100
    assert [name for name, (_, hashes) in locked.items() if hashes == 0] == []
    assert {name: version.removesuffix("+cpu") for name, (version, _) in locked.items() if name != "setuptools"} == {
        name: tested[name] for name in locked if name != "setuptools"
    }
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert {normal(re.split(r"[\[=>]", each)[0]) for each in asked} <= locked.keys()


def test_the_lock_names_no_index_and_no_cuda() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"://|index|find-links|nvidia|triton", text.partition("\naiohappyeyeballs")[2])
    assert requirements()["torch"][0] == "2.13.0+cpu"
