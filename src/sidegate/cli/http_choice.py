"""Which event loop and parser to serve with, as the environment says."""

from __future__ import annotations

from collections.abc import Mapping

from sidegate.errors import Invalid

HTTP_VARIABLE = "SIDEGATE_HTTP"

_CHOICES = {"auto": ("auto", "auto"), "uvloop": ("uvloop", "httptools"), "asyncio": ("asyncio", "h11")}


def choose_http(environment: Mapping[str, str]) -> tuple[str, str]:
    """Return loop and parser for $SIDEGATE_HTTP; raises Invalid for an unknown value."""
    value = environment.get(HTTP_VARIABLE) or "auto"
    if value not in _CHOICES:
        raise Invalid(
            f"{HTTP_VARIABLE}={value!r} is not a choice", remedy=f"use one of {', '.join(_CHOICES)}"
        )
    return _CHOICES[value]
