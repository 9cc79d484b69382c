"""workforce.py: blocks stay whole and come back worked, by Ray's actors, on GPUs or not, and by one process alone."""

import pyarrow as pa
import pytest

from counting_actors import Counter, doubled
from semihand.workforce import Actors, by_actors, is_alone, share, working_alone

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
