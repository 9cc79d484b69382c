"""What a bit that flips does: it is named before anything is believed; and what maintenance leaves is the same rows."""

import random
import re
import shutil

import pytest
from flips import KINDS, SHARD, files_of_kind, flipped, make_checkpoints

from semihand.rounds.maintaining import MaintainConfig, maintain
from semihand.rounds.verifying import damages
from semihand.tables.comparing import differences

_PER_KIND = 3


@pytest.fixture
def campaign(undisturbed, tmp_path):
    """A copy to spoil."""
    copy = shutil.copytree(undisturbed.folder, tmp_path / undisturbed.folder.name)
    make_checkpoints(copy)
    return copy


@pytest.mark.parametrize("kind", [SHARD, *KINDS])
def test_a_flipped_bit_is_found_and_its_file_named(kind, campaign):
    rng, paths = random.Random(kind), files_of_kind(campaign, kind)
    assert paths
    for path in rng.sample(paths, min(_PER_KIND, len(paths))):
        with flipped(path, rng) as bit:
            found = list(damages(campaign))
            named = path.parent.parent.name if kind in ("log", "witness") else path.name
            assert any(named in line or path.parent.name in line for line in found), (path, bit, found)
    assert list(damages(campaign)) == []


def test_maintenance_keeps_every_row_and_leaves_fewer_files(campaign, undisturbed, capsys):
    for words in ({"task": "compact"}, {"task": "vacuum", "older_than_hours": 0}, {"task": "sweep"}):
        assert maintain(MaintainConfig(campaign=campaign, apply=True, **words)) >= 0
    said = capsys.readouterr().out
    for number in (1, 2):
        assert re.search(rf"labels, round {number}: [1-9] files? fewer", said)
    assert list(damages(campaign)) == []
    assert differences(campaign, undisturbed.folder) == []
