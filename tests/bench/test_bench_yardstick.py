"""The bare server: what it does with bodies is what its label says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sidegate.bench import yardstick
from sidegate.bench.yardstick import Stock

PIECES = [b"one.", b"two.", b"three.", b"four."]


def written(path: Path, *, overwrite: bool) -> bytes:
    stock = Stock(None, str(path), overwrite)
    try:
        for piece in PIECES:
            stock.write(memoryview(piece))
        return path.read_bytes()
    finally:
        os.close(stock.target)


def test_bodies_are_kept_until_the_file_is_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert written(tmp_path / "kept", overwrite=False) == b"one.two.three.four."
    monkeypatch.setattr(yardstick, "KEPT_BYTES", 13)
    assert written(tmp_path / "emptied", overwrite=False) == b"four."


def test_bodies_are_written_over_the_first_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yardstick, "OVERWRITTEN_BYTES", 13)
    assert written(tmp_path / "over", overwrite=True) == b"four.wo.three."


def test_without_a_file_bodies_are_dropped() -> None:
    stock = Stock(None, None, overwrite=False)
    stock.write(memoryview(b"dropped"))
    assert stock.target_offset == 0
