"""Uploads wait for cores among themselves: what needs none is not kept waiting by them."""

from __future__ import annotations

import hashlib
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from gateway_harness import PATIENCE_SECONDS, Client

from sidegate.gateway.serving import WORK_THREADS
from sidegate.gateway.small_bodies import SMALL_BYTES
from sidegate.gateway.threads import WorkThreads
from sidegate.http.body import IncomingBody
from sidegate.http.pulling import Pull
from sidegate.pfs.cutting import ChunkCutter

BODY = bytes(4 * SMALL_BYTES)
TABLE = b"station,taken,value\n" * 1000


@pytest.mark.parametrize("digest", ["none", "SHA-256"])
@pytest.mark.parametrize("expected", [False, True])
def test_an_upload_that_is_alone_is_received_by_its_thread_while_quick_answers_are_given(
    labs: Client, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, expected: bool, digest: str
) -> None:
    begun: list[bool] = []
    begin_pull = IncomingBody.begin_pull

    def recorded(body: IncomingBody) -> Pull | None:
        pull = begin_pull(body)
        begun.append(pull is not None)
        return pull

    monkeypatch.setattr(IncomingBody, "begin_pull", recorded)
    monkeypatch.setattr(WorkThreads, "are_busy", property(lambda threads: False))
    if expected:
        request.getfixturevalue("quick_answers_expected")
    body = random.Random(7).randbytes(20 << 20)
    sent = {"x-amz-content-sha256": hashlib.sha256(body).hexdigest()} if digest == "SHA-256" else {}
    assert labs.put("/labs/large", body, sent).status == 200
    assert any(begun) is expected
    assert labs.get("/labs/large").body == body


def test_uploads_that_are_stuck_keep_no_other_request_waiting(
    labs: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than there are threads for everything else."""
    labs.put("/labs/known", b"content")
    labs.put("/labs/table", TABLE)
    stuck, may_go = threading.Event(), threading.Event()
    take = ChunkCutter.take

    def wait(cutter: ChunkCutter, data: memoryview, block: memoryview) -> None:
        stuck.set()
        assert may_go.wait(PATIENCE_SECONDS)
        take(cutter, data, block)

    monkeypatch.setattr(ChunkCutter, "take", wait)
    count = WORK_THREADS + 1
    clients = [labs.another() for _ in range(count)]
    with ThreadPoolExecutor(count) as threads:
        answers = [threads.submit(client.put, f"/labs/{n}", BODY) for n, client in enumerate(clients)]
        try:
            assert stuck.wait(PATIENCE_SECONDS)
            assert labs.get("/labs/known").body == b"content"
            assert labs.get("/labs?list-type=2").texts("Contents/Key") == ["known", "table"]
            assert labs.get("/labs/table").body == TABLE
            assert labs.put("/labs/small", b"written").status == 200
            assert labs.get("/labs/small").body == b"written"
        finally:
            may_go.set()
        assert [answer.result().status for answer in answers] == [200] * count
    for client in clients:
        client.close()
