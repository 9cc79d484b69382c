"""The short fuzz: every hand-made nasty, and some hundred mutated files of every kind; tests/bench has the long one."""

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sample_pictures import write_folder

from hostile.kinds import KINDS, RIGHT, TRUTH, Seeds, make_seeds, read_set
from hostile.nasties import nasties
from hostile.outcomes import read_path
from hostile.sets import ROWS_OF, SETS
from semihand.frames.options import ListOptions
from semihand.frames.worker import dismiss

NO_SEEDS = Seeds(Path(), [], [], [], {})
FUZZ = Path(__file__).resolve().parents[1] / "bench" / "fuzz_inputs.py"


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    yield make_seeds(tmp_path_factory.mktemp("seeds") / "all")
    dismiss()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(nasties(NO_SEEDS, Path())))
def test_a_nasty_input_gets_the_reason_it_should_and_takes_nothing_with_it(name, seeds, tmp_path):
    (tmp_path / "in").mkdir()
    assert nasties(seeds, tmp_path / "canary")[name](tmp_path / "in").lost == []


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_inputs_are_read_quarantined_or_refused_and_never_lost(kind, seeds, tmp_path):
    make_and_read, size, _ = KINDS[kind]
    read = refused = 0
    for batch in range(6):
        (tmp_path / str(batch)).mkdir()
        found = make_and_read(seeds, size, tmp_path / str(batch), np.random.default_rng([77, batch]))
        assert found.lost == []
        assert found.num_inputs == size
        read, refused = read + found.num_read, refused + found.num_refused + found.reasons.total()
    assert read > 0
    assert refused > 0


def test_a_row_that_is_lost_would_be_noticed(tmp_path):
    write_folder(tmp_path, 3)
    found, _ = read_path(tmp_path, RIGHT, 4)
    assert found.lost == [f"{tmp_path}: 4 rows in, 3 + 0 listed"]


@pytest.mark.parametrize("name", sorted(SETS))
@pytest.mark.parametrize("options", [TRUTH, ListOptions()], ids=["truth", "pool"])
def test_the_sets_that_are_damaged_are_whole_before(name, options, seeds):
    """Whatever of their rows is missing afterwards was lost."""
    text = f"{name}:{seeds.folder / name}?{SETS[name][1]}"
    found = read_set(text, options, ROWS_OF[name])
    assert (found.num_read, found.lost, found.reasons) == (ROWS_OF[name], [], {})
    assert read_set(text, options, ROWS_OF[name] + 1).lost != []


def test_the_decoding_of_all_of_them_took_a_bounded_memory():
    """After the tests above, whose processes have ended; the bound is that of `fuzz_inputs.py`."""
    dismiss()
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024 < 3072


def test_the_fuzz_is_a_command_with_a_seed_and_a_summary():
    command = [sys.executable, str(FUZZ), "--count", "24", "--seed", "9"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    summary = done.stdout.splitlines()[-1]
    assert done.returncode == 0, done.stdout[-2000:]
    assert summary.startswith("OK: 24 inputs of seed 9: 0 crashes, 0 hangs over the limit, 0 lost; ")
    assert "bound 3072 MB" in summary
