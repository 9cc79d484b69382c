"""A suite that stays green without the guard, the rename or the right order would prove nothing."""

import re

import pytest
from campaigns import BrokenCampaignError, Kill
from oracle import check_same

from semihand.failpoints import TABLES, losses

COMMITS = tuple(f"commit.{table}.made" for table in TABLES)
DISTURBANCES = {
    "without the guard": (Kill("commit.labels.made", kills=0, losses=1),),
    "without the rename": (Kill("file.settings.half"),),
    "with the mark first": (Kill("commit.labels.made"),),
    "without the anti-join": (Kill("commit.labels.made"),),
}


def test_commits_whose_answer_is_lost_are_made_once(campaigns, undisturbed):
    ended = campaigns.run("lost answers", tuple(Kill(name, kills=0, losses=2) for name in COMMITS))
    assert ended.starts == 1
    assert {name: losses(ended.failpoints, name) for name in COMMITS} == dict.fromkeys(COMMITS, 2)
    check_same(ended.folder, undisturbed.folder)


@pytest.mark.parametrize("mutation", DISTURBANCES)
def test_the_suite_turns_red_where_what_keeps_a_campaign_whole_is_taken_out(mutation, campaigns, undisturbed):
    with pytest.raises(AssertionError) as red:
        check_same(campaigns.run(mutation, DISTURBANCES[mutation], mutation=mutation).folder, undisturbed.folder)
    print(mutation, "->", type(red.value).__name__, str(red.value).strip().splitlines()[-1])
    if isinstance(red.value, BrokenCampaignError):  # and not because a mutation is no longer possible
        assert not re.search("ImportError|AttributeError|NameError|TypeError", str(red.value))
