"""The states of a job, against a second statement of the table."""

from __future__ import annotations

import pytest

from sidegate.errors import Conflict
from sidegate.pps.states import TRANSITIONS, JobState, check_transition

ALLOWED = {
    "CREATED": {"STARTING", "FAILURE", "KILLED", "UNRUNNABLE"},
    "STARTING": {"RUNNING", "FINISHING", "FAILURE", "KILLED", "UNRUNNABLE"},
    "RUNNING": {"FINISHING", "FAILURE", "KILLED"},
    "FINISHING": {"SUCCESS", "FAILURE", "KILLED"},
}


@pytest.mark.parametrize("current", list(JobState))
@pytest.mark.parametrize("following", list(JobState))
def test_transitions(current: JobState, following: JobState) -> None:
    if following.value in ALLOWED.get(current.value, set()):
        check_transition(current, following)
        return
    with pytest.raises(Conflict) as caught:
        check_transition(current, following)
    assert caught.value.details == {"current": current.value, "following": following.value}


def test_final_states() -> None:
    assert {state.value for state in JobState if state.is_final} == {
        "SUCCESS",
        "FAILURE",
        "KILLED",
        "UNRUNNABLE",
    }
    assert set(TRANSITIONS) == set(JobState)
