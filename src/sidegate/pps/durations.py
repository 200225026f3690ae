"""Lengths of time as Go writes them, such as `1h30m` or `2.5s`.

Grammar: https://pkg.go.dev/time#ParseDuration; the JSON form of protobuf
durations (`"3600s"`) is a part of it.
"""

from __future__ import annotations

import re

_UNIT_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_WHOLE = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)


def parse_duration_seconds(text: str) -> float:
    """Return the length in seconds; ValueError for anything else.

    A sign is not accepted: no time-out is negative.
    """
    if text == "0":
        return 0.0
    if _WHOLE.fullmatch(text) is None:
        raise ValueError(f"not a duration: {text!r}")
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in _PART.findall(text))
