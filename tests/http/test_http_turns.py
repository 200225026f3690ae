"""How much a connection sends before others have a turn."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from http_harness import Launch, recorded_files

from sidegate import scheduling
from sidegate.http import turns
from sidegate.http.message import FileSegment, Request, Response
from sidegate.http.turns import LONG_BYTES, SHORT_BYTES, turn_bytes

SIZE_BYTES = 300_000


def test_turns_are_long_while_nobody_wants_little() -> None:
    assert turn_bytes() == LONG_BYTES


@pytest.mark.usefixtures("quick_answers_expected")
def test_turns_are_short_while_quick_answers_are_given() -> None:
    assert turn_bytes() == SHORT_BYTES


@pytest.mark.skipif(not hasattr(os, "sendfile"), reason="this system has no sendfile")
@pytest.mark.parametrize("with_small", [False, True])
def test_a_small_answer_shortens_the_turns_of_others(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_small: bool
) -> None:
    asked = recorded_files(monkeypatch)
    monkeypatch.setattr(turns, "SHORT_BYTES", 8192)
    monkeypatch.setattr(scheduling, "EXPECTED_SECONDS", 3600.0)
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
