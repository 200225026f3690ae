"""How much a connection sends before others have a turn."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from http_harness import Launch, recorded_files

from sidegate.http import turns
from sidegate.http.message import FileSegment, Request, Response
from sidegate.http.turns import LONG_BYTES, SHORT_BYTES, SHORT_SECONDS, Turns

SIZE_BYTES = 300_000


class Clock:
    seconds = 1.0

    def __call__(self) -> float:
        return self.seconds


def test_turns_are_long_while_nobody_wants_little() -> None:
    assert Turns(Clock()).size_bytes() == LONG_BYTES


def test_a_small_answer_makes_turns_short_for_a_while() -> None:
    clock = Clock()
    shared = Turns(clock)
    shared.small_answer_given = True
    assert shared.size_bytes() == SHORT_BYTES
    clock.seconds += SHORT_SECONDS / 2
    assert shared.size_bytes() == SHORT_BYTES
    shared.small_answer_given = True
    assert shared.size_bytes() == SHORT_BYTES
    clock.seconds += SHORT_SECONDS * 3 / 4
    assert shared.size_bytes() == SHORT_BYTES
    clock.seconds += SHORT_SECONDS / 2
    assert shared.size_bytes() == LONG_BYTES


@pytest.mark.skipif(not hasattr(os, "sendfile"), reason="this system has no sendfile")
@pytest.mark.parametrize("with_small", [False, True])
def test_a_small_answer_shortens_the_turns_of_others(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_small: bool
) -> None:
    asked = recorded_files(monkeypatch)
    monkeypatch.setattr(turns, "SHORT_BYTES", 8192)
    monkeypatch.setattr(turns, "SHORT_SECONDS", 3600.0)
    content = os.urandom(SIZE_BYTES)
    (tmp_path / "large").write_bytes(content)
    fd = os.open(tmp_path / "large", os.O_RDONLY)

    def handler(request: Request) -> Response:
        if request.target == b"/small":
            return Response(200, body=b"small")
        return Response(200, segments=iter([FileSegment(fd, 0, SIZE_BYTES)]), length=SIZE_BYTES)

    try:
        server = launch(handler)
        if with_small:
            assert server.connect().ask(b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n").body == b"small"
        assert server.connect().ask(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").body == content
    finally:
        os.close(fd)
    assert (max(count for _, count in asked) <= 8192) is with_small
