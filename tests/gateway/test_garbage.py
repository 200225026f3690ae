"""Collections of garbage while a gateway answers."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from sidegate.gateway.garbage import MIDDLE_PER_FULL, RarePauses


class Node:
    """Can be one of a cycle, and watched."""

    other: Node


@pytest.fixture(autouse=True)
def nothing_frozen() -> Iterator[None]:
    """A gateway of another test may be at work, for which what is there is passed over: not meanwhile."""
    is_held_by_others = gc.get_freeze_count() > 0
    gc.unfreeze()
    yield
    assert gc.get_freeze_count() == 0
    if is_held_by_others:
        gc.freeze()


def left_behind_cycle() -> weakref.ref[Node]:
    node = Node()
    node.other = Node()
    node.other.other = node
    return weakref.ref(node)


def test_what_was_there_is_passed_over() -> None:
    early = Node()
    with RarePauses().held():
        late = Node()
        visited = {id(one) for one in gc.get_objects()}
        assert id(early) not in visited
        assert id(late) in visited


def test_cycles_made_meanwhile_are_collected() -> None:
    with RarePauses().held():
        cycle = left_behind_cycle()
        gc.collect()
        assert cycle() is None


def test_cycles_made_meanwhile_are_collected_unasked() -> None:
    with RarePauses().held():
        cycle = left_behind_cycle()
        for _ in range(1000):
            # Kept until the collection that is due: only what survives counts.
            kept = [[] for _ in range(10_000)]
            if cycle() is None:
                break
        del kept
        assert cycle() is None


def test_cycles_of_before_are_collected_after() -> None:
    was_enabled = gc.isenabled()
    gc.disable()  # or it may be collected before the block
    try:
        cycle = left_behind_cycle()
        with RarePauses().held():
            gc.collect()
            assert cycle() is not None
        gc.collect()
        assert cycle() is None
    finally:
        if was_enabled:
            gc.enable()


def test_the_last_to_leave_restores() -> None:
    before = gc.get_threshold()
    pauses = RarePauses()
    with pauses.held():
        count = gc.get_freeze_count()
        assert count > 0
        with pauses.held():
            assert gc.get_freeze_count() <= count  # nothing was added
            assert gc.get_threshold()[2] == MIDDLE_PER_FULL
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold()[2] == MIDDLE_PER_FULL
    assert gc.get_threshold() == before
