"""A request's headers, looked up by name.

Decides which of several equal headers counts and how bytes become text.  It
does not know what any header means.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sidegate.s3.errors import HeaderList


class Headers:
    """A view over a header list with lower-case names; built once per request."""

    __slots__ = ("_first", "items")

    def __init__(self, items: HeaderList) -> None:
        self.items = items
        # dict() in C keeps the last of equal names: reversed, it keeps the first.
        self._first = dict(reversed(items))

    def get(self, name: bytes) -> bytes | None:
        """Return the first value of a header, or None."""
        return self._first.get(name)

    def text(self, name: bytes) -> str | None:
        """Return the first value as text, or None."""
        value = self._first.get(name)
        return None if value is None else decode_value(value)

    def joined(self, name: bytes) -> bytes | None:
        """Return all values joined by commas (RFC 9110 section 5.3), or None."""
        if name not in self._first:
            return None
        return b", ".join(value for other, value in self.items if other == name)

    def with_prefix(self, prefix: bytes) -> Iterator[tuple[str, str]]:
        """Yield (rest of the name, value) of the headers that begin with `prefix`."""
        for name, value in self.items:
            if name.startswith(prefix):
                yield decode_value(name[len(prefix) :]), decode_value(value)

    def has_any(self, names: Iterable[bytes]) -> bool:
        """Whether any of `names` was sent."""
        return not self._first.keys().isdisjoint(names)

    def __contains__(self, name: bytes) -> bool:
        return name in self._first


def decode_value(value: bytes) -> str:
    """Return a header value as text: UTF-8, or Latin-1 where it is not that."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
