"""workforce.py: blocks stay whole and come back worked, by Ray's actors, on GPUs or not, and by one process alone."""

import re

import numpy as np
import pyarrow as pa
import pytest
from ray.data import DataContext

from counting_actors import Counter, doubled
from semihand import waiting
from semihand.frames.errors import InputError
from semihand.workforce import Actors, by_actors, by_one_task, is_alone, share, stall_limit, working_alone

BLOCKS = [pa.table({"row": list(range(num))}) for num in (3, 5, 1, 2)]


def worked(gpus, then=None):
    blocks = by_actors(BLOCKS, Counter, (share(100),), Actors(2, 0.25, gpus), then=then)
    return sorted(tuple(row.values()) for block in blocks for row in block.to_pylist())


@pytest.mark.parametrize("gpus", [0.0, 0.25])
def test_blocks_stay_whole_on_cpus_and_gpus_as_in_one_process(local_ray, gpus):
    assert not is_alone()
    by_ray, more = worked(gpus), worked(gpus, doubled)
    assert by_ray == [(1, 100), (2, 101), (3, 103), (5, 110)]
    assert more == sorted(2 * by_ray)
    with working_alone():
        assert is_alone()
        assert worked(gpus) == by_ray
        assert worked(gpus, doubled) == more


def test_blocks_that_the_object_store_cannot_hold_are_refused(local_ray):
    large = [BLOCKS[0], pa.table({"row": np.arange(14_000_000)})]
    with pytest.raises(InputError, match=r"block of 14000000 rows takes 112 MB.*store has 2\d\d MB.*object_store_mb"):
        list(by_actors(large, Counter, (share(1),), Actors(1, 0.25)))


def test_work_that_no_machine_has_room_for_says_so_and_then_ends_with_the_way_out(local_ray, monkeypatch, caplog):
    monkeypatch.setattr(waiting, "SILENCE_S", 1.0)
    before = DataContext.get_current().execution_no_progress_timeout_s
    with (
        stall_limit(4.0),
        pytest.raises(InputError, match=r"no sums came for 4 s.*of 4 CPUs are free, 1 of 1 machines.*stall_limit_s"),
    ):
        list(by_actors(BLOCKS, Counter, (share(100),), Actors(1, 5.0), what="sums"))
    assert re.search(r"no progress for \d+ s: waiting for sums; [\d.]+ of 4 CPUs are free", caplog.text)
    assert DataContext.get_current().execution_no_progress_timeout_s == before


def test_a_task_that_no_machine_has_room_for_is_given_up(local_ray):
    assert by_one_task(doubled, (BLOCKS[0],), 0).num_rows == 6
    with stall_limit(3.0), pytest.raises(InputError, match=r"no rows came for 3 s.*of 4 CPUs are free.*stall_limit_s"):
        by_one_task(doubled, (BLOCKS[0],), 2**44, "rows")


@pytest.mark.parametrize(("num", "cpus"), [(3, 1.25), (1, 3.75)])
def test_a_quarter_of_a_cpu_beside_the_actors_is_enough_for_what_follows_them(local_ray, num, cpus):
    """What `preflight` counts on: all of the cluster's CPUs are taken, and nothing stalls."""
    blocks = [pa.table({"row": [row, row]}) for row in range(40)]
    with stall_limit(300.0):  # a busy machine is slow to start them
        done = list(by_actors(blocks, Counter, (share(1),), Actors(num, cpus), then=doubled))
    assert sum(block.num_rows for block in done) == 2 * len(blocks)


def test_actors_that_take_every_cpu_stall_what_follows_them(local_ray):
    with stall_limit(4.0), pytest.raises(InputError, match=r"no sums came for 4 s.*0 of 4 CPUs are free"):
        list(by_actors(BLOCKS * 4, Counter, (share(1),), Actors(4, 1.0), then=doubled, what="sums"))
