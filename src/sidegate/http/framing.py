"""Where a request ends: the strict reading of its framing headers.

Decides, from the few headers that matter to the wire, how long the body is,
whether the connection may go on and whether the peer waits for 100.  Two
readings of one head is how requests are smuggled, so whatever is ambiguous
is refused (RFC 9112 section 6.3, section 11.2).
"""

from __future__ import annotations

from typing import NamedTuple

from sidegate.http.errors import Reason, Rejected
from sidegate.http.message import Header

# The headers that decide framing; a parser collects them apart.
FRAMING_NAMES = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"}
)

# RFC 9110 section 9.1 and RFC 5789; others are answered 501.  CONNECT is for proxies.
METHODS: dict[bytes, str] = {
    name.encode(): name for name in ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "TRACE")
}

# Enough for 2**63, so that no arithmetic on a length can be made slow.
_LENGTH_DIGITS = 19


class Framing(NamedTuple):
    """How the bytes after a head are to be read."""

    length: int | None
    keep_alive: bool
    expects_continue: bool
    upgrades: bool


BODILESS = Framing(length=0, keep_alive=True, expects_continue=False, upgrades=False)


def read_framing(version: str, framing_headers: list[Header]) -> Framing:
    """Decide the framing from the headers named in FRAMING_NAMES.

    Names are lower-cased and values stripped.  Raises Rejected for whatever
    RFC 9112 calls ambiguous or an error.
    """
    if version not in ("1.1", "1.0"):
        raise Rejected(Reason.VERSION, f"HTTP/{version} is not spoken here")
    values: dict[bytes, list[bytes]] = {}
    for name, value in framing_headers:
        values.setdefault(name, []).append(value)
    _check_host(version, values.get(b"host", []))
    tokens = _tokens(values.get(b"connection", []))
    if version == "1.1":
        keep_alive = b"close" not in tokens
    else:
        keep_alive = b"keep-alive" in tokens and b"close" not in tokens
    length = _body_length(version, values)
    if length is None and b"upgrade" in values and b"upgrade" in tokens:
        # llhttp takes what follows an upgrade as another protocol, so that nobody reads the chunks.
        raise Rejected(Reason.FRAMING, "an upgrade with a chunked body")
    return Framing(
        length=length,
        keep_alive=keep_alive,
        expects_continue=_expects_continue(version, values.get(b"expect", [])),
        upgrades=b"upgrade" in values,
    )


def _check_host(version: str, hosts: list[bytes]) -> None:
    # RFC 9112 section 3.2: exactly one, or 400.
    if len(hosts) > 1 or (version == "1.1" and not hosts):
        raise Rejected(Reason.MALFORMED_HEAD, f"a request needs one Host header, not {len(hosts)}")


def _tokens(values: list[bytes]) -> set[bytes]:
    return {token.strip().lower() for value in values for token in value.split(b",")}


def _body_length(version: str, values: dict[bytes, list[bytes]]) -> int | None:
    lengths = values.get(b"content-length", [])
    encodings = values.get(b"transfer-encoding", [])
    if encodings:
        if lengths:
            raise Rejected(Reason.FRAMING, "both Content-Length and Transfer-Encoding")
        if version != "1.1" or len(encodings) > 1 or encodings[0].lower() != b"chunked":
            raise Rejected(Reason.FRAMING, f"Transfer-Encoding {encodings!r} in HTTP/{version}")
        return None
    if not lengths:
        return 0
    digits = lengths[0]
    if len(lengths) > 1 or not digits.isdigit() or len(digits) > _LENGTH_DIGITS:
        raise Rejected(Reason.FRAMING, f"Content-Length {lengths!r}")
    return int(digits)


def _expects_continue(version: str, expectations: list[bytes]) -> bool:
    # RFC 9110 section 10.1.1: ignored in HTTP/1.0; the value is case-insensitive.
    if version != "1.1" or not expectations:
        return False
    if len(expectations) > 1 or expectations[0].lower() != b"100-continue":
        raise Rejected(Reason.EXPECTATION, f"Expect {expectations!r}")
    return True
