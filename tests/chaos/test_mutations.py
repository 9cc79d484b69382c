"""A suite that stays green without the guard, the rename or the right order would prove nothing."""

import re

import pytest
from campaigns import BrokenCampaignError, Kill
from oracle import check_same

from semihand.failpoints import TABLES, losses

COMMITS = tuple(f"commit.{table}.made" for table in TABLES)
#: By what is taken out: how the campaign is disturbed, and what must then be found, by the oracle or a step before it.
REDS = {
    # A doubled line of the ledger is the one thing that no later step looks for.
    "without the guard": ((Kill("commit.rounds.made", kills=0, losses=1),), r"rounds: (\d+) rows and (\d+)"),
    "without the rename": ((Kill("file.settings.half"),), r"InputError: .*config\.json is not JSON"),
    "with the mark first": (
        (Kill("commit.labels.made"),),
        r"SealError: .*neither labelled nor quarantined",
    ),
    "without the anti-join": ((Kill("commit.labels.made"),), r"SealError: .*(labelled|quarantined) twice: \d+ frames"),
}


def test_commits_whose_answer_is_lost_are_made_once(campaigns, undisturbed):
    ended = campaigns.run("lost answers", tuple(Kill(name, kills=0, losses=2) for name in COMMITS))
    assert ended.starts == 1
    assert {name: losses(ended.failpoints, name) for name in COMMITS} == dict.fromkeys(COMMITS, 2)
    check_same(ended.folder, undisturbed.folder)


@pytest.mark.parametrize("mutation", REDS)
def test_the_suite_turns_red_where_what_keeps_a_campaign_whole_is_taken_out(mutation, campaigns, undisturbed):
    plan, red = REDS[mutation]
    with pytest.raises(AssertionError, match=red) as found:
        check_same(campaigns.run(mutation, plan, mutation=mutation).folder, undisturbed.folder)
    print(mutation, "->", re.search(red, str(found.value))[0])
    if mutation == "without the guard":
        ours, theirs = map(int, re.search(red, str(found.value)).groups())
        assert ours == theirs + 1
        assert not isinstance(found.value, BrokenCampaignError)
