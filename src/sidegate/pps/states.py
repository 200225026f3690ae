"""Where a job can be, and where it can go from there, as a table."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from sidegate.pps.errors import IllegalTransition


class JobState(enum.Enum):
    """The state of a job; the value is how it is stored and shown."""

    CREATED = "CREATED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    FINISHING = "FINISHING"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    KILLED = "KILLED"
    UNRUNNABLE = "UNRUNNABLE"

    @property
    def is_final(self) -> bool:
        """Say whether the job has ended."""
        return not TRANSITIONS[self]


_CREATED, _STARTING, _RUNNING = JobState.CREATED, JobState.STARTING, JobState.RUNNING
_FINISHING, _SUCCESS, _FAILURE = JobState.FINISHING, JobState.SUCCESS, JobState.FAILURE
_KILLED, _UNRUNNABLE = JobState.KILLED, JobState.UNRUNNABLE

TRANSITIONS: Mapping[JobState, frozenset[JobState]] = {
    _CREATED: frozenset({_STARTING, _FAILURE, _KILLED, _UNRUNNABLE}),
    _STARTING: frozenset({_RUNNING, _FINISHING, _FAILURE, _KILLED, _UNRUNNABLE}),
    _RUNNING: frozenset({_FINISHING, _FAILURE, _KILLED}),
    _FINISHING: frozenset({_SUCCESS, _FAILURE, _KILLED}),
    _SUCCESS: frozenset(),
    _FAILURE: frozenset(),
    _KILLED: frozenset(),
    _UNRUNNABLE: frozenset(),
}
"""A job without datums goes from STARTING to FINISHING: there is nothing to run."""


def check_transition(current: JobState, following: JobState) -> None:
    """Raise IllegalTransition unless the table allows the step."""
    if following not in TRANSITIONS[current]:
        allowed = sorted(state.value for state in TRANSITIONS[current])
        raise IllegalTransition(
            f"a job cannot go from {current.value} to {following.value}",
            remedy=f"from there it goes to {', '.join(allowed)}" if allowed else "the job has ended",
            current=current.value,
            following=following.value,
        )
