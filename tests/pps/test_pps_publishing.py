"""Merging what datums wrote."""

from __future__ import annotations

import pytest

from conftest import Stored
from sidegate.pfs.staging import Staging
from sidegate.pps import publishing
from sidegate.pps.errors import OutputCollision
from sidegate.pps.publishing import DatumOutput, merge_outputs


def output(stored: Stored, datum_id: str, files: dict[str, bytes]) -> DatumOutput:
    staging = stored.store.stagings.begin_attempt("made", "master")
    staging.put_many([(path, stored.record(content)) for path, content in files.items()])
    return DatumOutput(staging, lambda path: not path.startswith("debris/"), datum_id)


def content(stored: Stored, staging: Staging) -> dict[str, bytes]:
    return {path: b"".join(stored.store.read(record)) for path, record in staging.files()}


@pytest.fixture(autouse=True)
def _repo(stored: Stored) -> None:
    stored.store.repos.create("made", kind="pipeline")


def test_one_output_is_taken_as_it_is(stored: Stored) -> None:
    only = output(stored, "a", {"x": b"1"})
    assert merge_outputs(stored.store, "made", "master", [only], pytest.fail) is only


def test_no_output_gives_an_empty_one(stored: Stored) -> None:
    tracked: list[str] = []
    merged = merge_outputs(stored.store, "made", "master", [], tracked.append)
    assert content(stored, merged.staging) == {}
    assert tracked == [merged.staging.id]


@pytest.mark.parametrize("at_once", [2, 3, 64])
def test_outputs_are_merged_and_dropped(
    stored: Stored, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(publishing, "_MERGED_AT_ONCE", at_once)
    monkeypatch.setattr(publishing, "_ROWS_AT_ONCE", 2)
    outputs = [
        output(
            stored, str(number), {f"own/{number}": b"%d" % number, "same": b"s", "debris/x": b"%d" % number}
        )
        for number in range(5)
    ]
    merged = merge_outputs(stored.store, "made", "master", outputs, lambda staging: None)
    assert content(stored, merged.staging) == {"same": b"s", **{f"own/{n}": b"%d" % n for n in range(5)}}
    assert [info.id for info in stored.store.stagings.all()] == [merged.staging.id]


def test_different_content_at_one_path_is_a_collision(stored: Stored) -> None:
    outputs = [
        output(stored, "one", {"a": b"1", "b/c": b"1"}),
        output(stored, "two", {"b": b"1", "b/c": b"2"}),
    ]
    with pytest.raises(OutputCollision, match="'b/c'") as caught:
        merge_outputs(stored.store, "made", "master", outputs, lambda staging: None)
    assert caught.value.details == {"path": "b/c", "datums": ["one", "two"]}
