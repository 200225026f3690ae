"""A wrong answer as one line that a person can read: status, then the body if it is text."""

from __future__ import annotations

import codecs
import re
from typing import Final

_SHOWN_CHARACTERS: Final = 400
_SUCCESS = re.compile(rb"HTTP/1\.[01] 2\d\d ")
_LENGTH = re.compile(rb"^content-length: *(\d+) *\r?$", re.IGNORECASE | re.MULTILINE)


def shown_answer(answer: bytes) -> str:
    """Return what is to be shown of the beginning of an answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = " ".join(head.partition(b"\r\n")[0].decode("latin-1").split())
    if not status:
        return "the server closed the connection"
    if not status.isprintable() or not status.startswith("HTTP/"):
        return "what came is no HTTP"
    found = _LENGTH.search(head)
    length = int(found[1]) if found else None
    text = "" if length == 0 else _text(body)  # what follows a body of nothing belongs to no answer
    if text:
        return f"{status} {text}"
    if length or text is None:
        kind = " that are no text" if text is None else ""
        return f"{status}, {'some' if length is None else length} bytes{kind}"
    return f"{status}, no body" if status.split()[1:2] in (["200"], ["206"]) else status


def claims_success(answer: bytes) -> bool:
    """Whether an answer says that all is well, so that a client would believe it."""
    return _SUCCESS.match(answer) is not None


def _text(body: bytes) -> str | None:
    """Return the beginning of a body on one line, None when it is no text; its end may be cut anywhere."""
    try:
        decoded = codecs.getincrementaldecoder("utf-8")().decode(body)
    except UnicodeDecodeError:
        return None
    line = " ".join(decoded.split())[:_SHOWN_CHARACTERS]
    return line if line.isprintable() else None
