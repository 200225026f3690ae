"""Dates as HTTP headers and S3's XML write them.

Times are whole microseconds since the epoch, as stored; both formats are
constant for an object because they are derived from that number alone.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache


def format_http_date(modified_us: int) -> bytes:
    """Return an IMF-fixdate, e.g. `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7)."""
    return _format_http_date(modified_us // 1_000_000)


@lru_cache(maxsize=4096)
def _format_http_date(seconds: int) -> bytes:
    return formatdate(seconds, usegmt=True).encode()


@lru_cache(maxsize=4096)
def _format_iso_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def format_iso_date(modified_us: int) -> str:
    """Return `YYYY-MM-DDThh:mm:ss.000Z`, the format of S3's XML."""
    seconds, microseconds = divmod(modified_us, 1_000_000)
    return f"{_format_iso_second(seconds)}.{microseconds // 1000:03}Z"


def parse_http_date(value: str) -> int | None:
    """Return seconds since the epoch, or None for no date at all.

    RFC 9110 section 13.1.3: a condition with an invalid date is ignored.
    """
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, IndexError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp())
