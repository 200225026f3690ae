"""Text as XML 1.0 and listing pages carry it.

Decides how names are written into answers and which characters no answer can
hold.  It does not know which element a name belongs to.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import quote_from_bytes

# XML 1.0 section 2.2 (Char): everything else cannot appear in a document, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SPECIAL = re.compile("[&<>\"'\r]")
_REPLACEMENTS = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
    # XML 1.0 section 2.11: a parser turns a bare carriage return into a line feed.
    "\r": "&#13;",
}
# RFC 3986 section 2.3, and the slash, which stays.
_RESERVED = re.compile("[^A-Za-z0-9._~/-]+")
# What repeats in names are spaces and single letters; a prefix may be as long as a request.
_REMEMBERED_LETTERS = 64

Encoder = Callable[[str], str]


def has_forbidden_characters(text: str) -> bool:
    """Whether `text` holds a character that XML 1.0 cannot carry."""
    return _FORBIDDEN.search(text) is not None


def replace_forbidden_characters(text: str) -> str:
    """Return `text` with what XML cannot carry replaced by U+FFFD."""
    return _FORBIDDEN.sub("\ufffd", text)


def escape_text(text: str) -> str:
    """Return `text` as XML character data."""
    if _SPECIAL.search(text) is None:
        return text
    return _SPECIAL.sub(lambda match: _REPLACEMENTS[match.group()], text)


def encode_url(text: str) -> str:
    """Return `text` percent-encoded for `encoding-type=url`.

    A space becomes %20, which unquote and unquote_plus both read; AWS writes
    `+`, which only the second reads.  Slashes stay (API_ListObjectsV2).
    """
    if _RESERVED.search(text) is None:
        return text
    return _RESERVED.sub(_quote_match, text)


def select_encoder(url: bool) -> Encoder:
    """Return how names are written: percent-encoded or as XML text."""
    return encode_url if url else escape_text


def _quote_match(match: re.Match[str]) -> str:
    text = match.group()
    return _quote(text) if len(text) <= _REMEMBERED_LETTERS else _quote.__wrapped__(text)


@lru_cache(maxsize=1024)
def _quote(text: str) -> str:
    return quote_from_bytes(text.encode("utf-8", "surrogatepass"), safe="")
