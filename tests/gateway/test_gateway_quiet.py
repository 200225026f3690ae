"""Finishing open commits after a quiet time."""

from __future__ import annotations

import pytest
from gateway_harness import Client, Clock, commit_files

from sidegate.gateway.activity import CELLS, Activity, SharedActivity
from sidegate.gateway.quiet import finish_quiet
from sidegate.pfs.store import Store


def test_a_quiet_commit_is_finished_and_a_busy_one_is_not(labs: Client, store: Store, clock: Clock) -> None:
    labs.put("/dev.labs")
    labs.put("/labs/k", b"data")
    clock.advance(4)
    labs.put("/dev.labs/k", b"data")
    clock.advance(1)
    (commit,) = finish_quiet(store, 5, Activity())
    assert (commit.repo, commit.branch) == ("labs", "master")
    assert store.stagings.find_open("labs", "dev") is not None
    clock.advance(4)
    assert [commit.branch for commit in finish_quiet(store, 5, Activity())] == ["dev"]
    assert finish_quiet(store, 5, Activity()) == []


@pytest.mark.parametrize("action", ["put", "delete", "copy", "complete"])
def test_every_write_starts_the_quiet_time_again(
    labs: Client, store: Store, clock: Clock, action: str
) -> None:
    labs.put("/labs/k", b"data")
    upload = labs.create_upload("/labs/u")
    etag = labs.put_part("/labs/u", upload, 1, b"part")
    clock.advance(4)
    if action == "put":
        labs.put("/labs/k2", b"more")
    elif action == "delete":
        labs.delete("/labs/k")
    elif action == "copy":
        labs.ask("PUT", "/labs/k3", b"", {"x-amz-copy-source": "/labs/k"})
    else:
        labs.complete("/labs/u", upload, [(1, etag)])
    if action != "complete":
        labs.delete(f"/labs/u?uploadId={upload}")
    clock.advance(4)
    assert finish_quiet(store, 5, Activity()) == []
    clock.advance(1)
    assert len(finish_quiet(store, 5, Activity())) == 1


def test_an_unfinished_upload_holds_the_timer(labs: Client, store: Store, clock: Clock) -> None:
    labs.put("/labs/k", b"data")
    upload = labs.create_upload("/labs/u")
    clock.advance(3600)
    assert finish_quiet(store, 5, Activity()) == []
    assert labs.delete(f"/labs/u?uploadId={upload}").status == 204
    assert len(finish_quiet(store, 5, Activity())) == 1


def test_an_upload_to_another_branch_holds_nothing(labs: Client, store: Store, clock: Clock) -> None:
    labs.put("/dev.labs")
    labs.put("/labs/k", b"data")
    labs.create_upload("/dev.labs/u")
    clock.advance(10)
    assert [commit.branch for commit in finish_quiet(store, 5, Activity())] == ["master"]


def test_a_commit_started_by_hand_is_left_alone(labs: Client, store: Store, clock: Clock) -> None:
    store.stagings.open_commit("labs", "master", held=True)
    labs.put("/labs/k", b"data")
    clock.advance(3600)
    assert finish_quiet(store, 5, Activity()) == []
    assert len(store.finish_open("labs", "master")) == 1


def test_a_job_attempt_is_never_finished(labs: Client, store: Store, clock: Clock) -> None:
    commit_files(store, "labs", {"k": b"data"})
    store.stagings.begin_attempt("labs", "master")
    clock.advance(3600)
    assert finish_quiet(store, 5, Activity()) == []


def test_a_sync_of_many_files_is_one_version(labs: Client, store: Store, clock: Clock) -> None:
    for number in range(50):
        labs.put(f"/labs/{number}", b"data")
        clock.advance(1)
        finish_quiet(store, 5, Activity())
    clock.advance(5)
    finish_quiet(store, 5, Activity())
    (commit,) = store.commits.all("labs")
    assert commit.file_count == 50


def test_a_put_on_its_way_holds_the_timer(labs: Client, store: Store, clock: Clock) -> None:
    labs.put("/labs/k", b"data")
    clock.advance(10)
    activity = Activity()
    with activity.writing("labs@master"), activity.writing("labs@master"):
        assert finish_quiet(store, 5, activity) == []
    assert not activity.is_busy("labs@master")
    assert len(finish_quiet(store, 5, activity)) == 1


def test_an_upload_abandoned_a_day_ago_holds_it_no_more(labs: Client, store: Store, clock: Clock) -> None:
    labs.create_upload("/labs/u")
    clock.advance(24 * 3600 + 1)
    labs.put("/labs/k", b"data")
    clock.advance(10)
    assert len(finish_quiet(store, 5, Activity())) == 1


def test_what_another_process_receives_is_seen_in_common_memory() -> None:
    cells = [memoryview(bytearray(8 * CELLS)).cast("Q") for _ in range(2)]
    receiving, seen = Activity(cells[1]), SharedActivity(cells)
    with receiving.writing("labs@master"):
        with receiving.writing("labs@master"):
            assert seen.is_busy("labs@master")
            assert not seen.is_busy("other@master")
        assert seen.is_busy("labs@master")
    assert not seen.is_busy("labs@master")
