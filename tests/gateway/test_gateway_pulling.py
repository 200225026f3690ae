"""Uploads whose thread receives them: what happens where memory is short, or they end badly."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from gateway_harness import MIB, PAIRS, Client, noise, start

from sidegate.gateway import context
from sidegate.gateway.general import GeneralNamespace
from sidegate.gateway.threads import WorkThreads
from sidegate.http.limits import Limits
from sidegate.pfs.store import Store

pytestmark = pytest.mark.parametrize("pair", PAIRS, indirect=True)

Launch = Callable[[int], Client]


@pytest.fixture(autouse=True)
def always_pull(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each upload pulled, also one that is alone."""
    monkeypatch.setattr(WorkThreads, "are_busy", property(lambda threads: True))


@pytest.fixture
def launch(store: Store, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Launch]:
    """Return a function that starts a gateway with so much memory for bytes in flight."""
    begun = []

    def begin(in_flight_bytes: int) -> Client:
        monkeypatch.setattr(context, "Limits", lambda: Limits(in_flight_bytes=in_flight_bytes))
        gateway = start(store, GeneralNamespace(store), pair)
        begun.append((gateway, Client(gateway.address)))
        begun[-1][1].put("/labs")
        return begun[-1][1]

    yield begin
    for gateway, client in begun:
        client.close()
        gateway.close()


@pytest.mark.parametrize("body", [bytes(8 * MIB), noise(8 * MIB)], ids=["one cut in 4 MiB", "noise"])
def test_an_upload_that_holds_all_the_memory_there_is_goes_on(launch: Launch, body: bytes) -> None:
    """The chunk in the making is put aside: nobody else could give way."""
    client = launch(2 * MIB)
    client.put("/labs/long", body)
    assert client.get("/labs/long").body == body
