"""Which paths can be a file both in a store and on a disk."""

from __future__ import annotations

import pytest

from sidegate.errors import Invalid
from sidegate.pfs.paths import MAX_PATH_BYTES, check_path


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "a/b.csv",
        "...",
        "a..b/.hidden",
        "é/ü",
        "x" * MAX_PATH_BYTES,
        "a b",
        "tab\there",
        "line\nbreak",
        "~",
        "a:b",
    ],
)
def test_a_path_that_can_be_a_file_is_returned(path: str) -> None:
    assert check_path(path) == path


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "is empty"),
        ("/etc/passwd", "is absolute"),
        ("/", "is absolute"),
        ("..", "'..' segment"),
        ("a/../b", "'..' segment"),
        ("./a", "'.' or"),
        ("a/.", "'.' or"),
        ("a//b", "empty segment"),
        ("a/", "empty segment"),
        ("nul\0", "control character"),
        ("esc\x1b[0m", "control character"),
        ("\udcff", "not UTF-8"),
        ("x" * (MAX_PATH_BYTES + 1), "longer than 1024 bytes"),
        ("é" * 513, "longer than 1024 bytes"),
    ],
)
def test_a_path_that_cannot_is_refused_with_the_reason(path: str, reason: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_path(path)
    assert reason in caught.value.message
    assert caught.value.details["path"] == path
