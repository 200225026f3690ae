"""A wrong answer as one line that a person can read.

What was asked, then the status, then the body if it is text, then what was expected.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

from sidegate.native.exchange import Exchange

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
        return f"{status}, {'some bytes' if length is None else bytes_of(length)}{kind}"
    return f"{status}, no body" if status.split()[1:2] in (["200"], ["206"]) else status


def shown_example(answer: bytes, exchange: Exchange) -> str:
    """Return what is to be shown of a wrong answer to an exchange: what was asked, came, and was expected."""
    method, path = exchange.head.split(b" ", 2)[:2]
    asked = f"{method.decode()} {path.partition(b'?')[0].decode('latin-1')}"
    return f"{asked}: {shown_answer(answer)}; {_expected(answer, exchange, is_upload=method != b'GET')}"


def _expected(answer: bytes, exchange: Exchange, *, is_upload: bool) -> str:
    """Say what the beginning of an answer should have been, or in what it differs from that."""
    head, _, body = answer.partition(b"\r\n\r\n")
    wanted = f"expected {exchange.status}"
    if exchange.body_bytes:
        wanted = f"{wanted} with {bytes_of(exchange.body_bytes)}"
    found = _LENGTH.search(head)
    length = exchange.body_bytes if found is None else int(found[1])
    is_status_right = head.split(b" ", 2)[1:2] == [b"%d" % exchange.status]
    if not is_status_right or (exchange.body_bytes and length != exchange.body_bytes):
        return wanted
    if exchange.body and not exchange.body.startswith(body[: len(exchange.body)]):
        return f"the body differs from what was stored: {difference(body, exchange.body[: len(body)])}"
    if exchange.holds and exchange.holds not in body:
        return f"{wanted} with {exchange.holds.rstrip(b'>').decode('latin-1')} in the body"
    if exchange.body_bytes:
        return f"{wanted}, of which some differ or did not come"
    return f"{wanted} after all of the request was sent" if is_upload else wanted


def difference(found: bytes, wanted: bytes) -> str:
    """Say in what bytes differ from those that were wanted."""
    if len(found) != len(wanted):
        return f"{bytes_of(len(found))} came instead of {bytes_of(len(wanted))}"
    first = next((index for index, pair in enumerate(zip(found, wanted, strict=True)) if len({*pair}) > 1), 0)
    return f"first in byte {first}"


def bytes_of(count: int) -> str:
    """Return a number of bytes as a person reads it."""
    return f"{count:,} byte{'' if count == 1 else 's'}".replace(",", " ")


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
