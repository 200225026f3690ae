"""Entity tags: how a tag is written on the wire and read back.

A tag is an opaque string that was fixed at upload.  This module only quotes,
unquotes and numbers it; it does not know how it was computed.
"""

from __future__ import annotations

import re

_ENTITIES = re.compile("&quot;|&#34;|&#x22;", re.IGNORECASE)
_TAGS = re.compile(r'(?:W/)?"([^"]*)"|(?:W/)?([^\s,"]+)')
_PART_COUNT = re.compile(r"[0-9a-f]{32}-([1-9]\d{0,4})").fullmatch

ANY = "*"


def format_etag(tag: str) -> bytes:
    """Return the tag as a header value: in quotes."""
    return b'"%b"' % tag.encode()


def make_tag(digest_hex: str, part_count: int) -> str:
    """Return `<32 hex>-N`, the form that every client takes as opaque."""
    return f"{digest_hex[:32]}-{part_count}"


def part_count_of(tag: str) -> int | None:
    """Return N of `<32 hex>-N`, or None for a tag of another form."""
    match = _PART_COUNT(tag)
    return int(match.group(1)) if match else None


_PLAIN_TAG = re.compile(r'"([0-9A-Za-z-]+)"|([0-9A-Za-z-]+)').fullmatch
"""How tags come nearly always; a Complete names up to 10 000."""


def parse_tags(value: str) -> tuple[str, ...]:
    """Return the tags of an If-Match or If-None-Match list, unquoted.

    Quotes, `W/` and XML entities around a tag do not count: AWS SDK for Java v1
    sends bare tags, s5cmd sends `&#34;`.  `*` stays `*`.
    """
    plain = _ENTITIES.sub('"', value)
    return tuple(quoted or bare for quoted, bare in _TAGS.findall(plain) if quoted or bare)


def parse_tag(value: str) -> str:
    """Return one tag without its quotes; "" when there is none."""
    plain = _PLAIN_TAG(value)
    if plain is not None:
        return plain[1] or plain[2]
    tags = parse_tags(value)
    return tags[0] if tags else ""
