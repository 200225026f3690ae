"""What a plain request may look like, and no more.

Holds the limits and the alphabets of the two scanners of heads.  They are
narrower than HTTP on purpose: a head that needs any thought is not plain, and
whoever gets it then reads it from its first byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sidegate.errors import Invalid

# A key has 1024 bytes at most, three times as many when each is escaped.
MAX_PATH_BYTES: Final = 4096
MAX_NAME_BYTES: Final = 40
MAX_NAMES: Final = 64
MAX_WANTED: Final = 12
# Any such number fits into 64 bits with room to spare.
MAX_RANGE_DIGITS: Final = 18
MAX_LENGTH_DIGITS: Final = 9

_ALPHANUMERIC: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
# RFC 9110 section 5.6.2.
TOKEN_BYTES: Final = _ALPHANUMERIC + b"!#$%&'*+-.^_`|~"
# RFC 3986: unreserved, sub-delims, ":" and "@", and the slash between segments; escapes apart.
PATH_BYTES: Final = _ALPHANUMERIC + b"-._~!$&'()*+,;=:@/"
QUERY_BYTES: Final = PATH_BYTES + b"?"

# The scanners read these themselves.
OWN_NAMES: Final = frozenset({b"host", b"connection", b"content-length", b"range"})


def check_names(wanted: Sequence[bytes], declined: Sequence[bytes], parameters: Sequence[bytes]) -> None:
    """Raise Invalid unless a scanner can look for these names."""
    headers = [*wanted, *declined]
    for name in headers:
        if name != name.lower() or name in OWN_NAMES:
            raise Invalid(f"{name!r} is no header to look for", remedy="name others, in lower case")
    if len(set(headers)) < len(headers):
        raise Invalid("a header is named twice")
    for name in (*headers, *parameters):
        if not 0 < len(name) <= MAX_NAME_BYTES or set(name) - set(TOKEN_BYTES):
            raise Invalid(f"{name!r} is no name of 1 to {MAX_NAME_BYTES} bytes")
    if len(wanted) > MAX_WANTED or max(len(headers) + len(OWN_NAMES), len(set(parameters))) > MAX_NAMES:
        raise Invalid(f"more than {MAX_WANTED} wanted headers or {MAX_NAMES} names")


def check_family(family: bytes) -> None:
    """Raise Invalid unless it is the beginning of header names that a scanner can look for."""
    if family != family.lower() or len(family) > MAX_NAME_BYTES or set(family) - set(TOKEN_BYTES):
        raise Invalid(f"{family!r} begins no header name", remedy="give it in lower case")
