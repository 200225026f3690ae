"""How both twins of the listing renderer write names and which dates they can.

Holds tables only.  It does not know what stands around a name.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

XML_REPLACEMENTS: Final = MappingProxyType(
    {
        ord("&"): b"&amp;",
        ord("<"): b"&lt;",
        ord(">"): b"&gt;",
        ord('"'): b"&quot;",
        ord("'"): b"&#39;",
        # XML 1.0 section 2.11: a parser turns a bare carriage return into a line feed.
        ord("\r"): b"&#13;",
    }
)

# RFC 3986 section 2.3, and the slash, which stays.
SAFE_IN_URL: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-/")

LAST_SECOND: Final = 253_402_300_799
"""9999-12-31T23:59:59: a year has four digits."""
