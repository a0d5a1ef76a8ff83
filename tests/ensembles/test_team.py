"""A team of equals, and teams that cannot be."""

from __future__ import annotations

import pytest

from ensembles.team import Team, team_of_equals
from trainables.results.checkpoint import CheckpointId

A, B, C = (CheckpointId(name * 12, 1) for name in "abc")


def test_equals_share_the_vote_and_have_no_picks() -> None:
    assert team_of_equals([A, B]) == Team((A, B), (0.5, 0.5), "all", "accuracy", (), (), 0.0)
    team = team_of_equals((C, A, B), "top", "log_loss", 0.3)
    assert team == Team((C, A, B), (1 / 3, 1 / 3, 1 / 3), "top", "log_loss", (), (), 0.3)


@pytest.mark.parametrize(("members", "message"), [([], "none"), ([A, A], "each once")])
def test_no_member_or_the_same_one_twice_is_no_team(members: list[CheckpointId], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        team_of_equals(members)
