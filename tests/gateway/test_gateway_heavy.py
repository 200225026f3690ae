"""Uploads wait for cores among themselves: what needs none is not kept waiting by them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from gateway_harness import PATIENCE_SECONDS, Client

from sidegate.gateway.serving import WORK_THREADS
from sidegate.gateway.small_bodies import SMALL_BYTES
from sidegate.pfs.cutting import ChunkCutter

BODY = bytes(4 * SMALL_BYTES)
TABLE = b"station,taken,value\n" * 1000


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
