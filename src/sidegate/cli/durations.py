"""Lengths of time on the command line, such as `5s` or `1h30m`."""

from __future__ import annotations

from typing import Any

import click


class DurationType(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from click 8.4 on
    """A length of time, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it as pipeline specs write it."""
        from sidegate.pps.durations import parse_duration_seconds

        if isinstance(value, float):
            return value
        try:
            return parse_duration_seconds(value)
        except ValueError:
            self.fail(f"{value!r} is not a time such as 5s, 2m or 1h30m", param, ctx)


class QuietTimeType(DurationType):
    """A length of time above zero, or `never`, which is None."""

    def convert(  # type: ignore[override]  # None is a value here
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | None:
        """Read it."""
        if value == "never":
            return None
        seconds = super().convert(value, param, ctx)
        if seconds <= 0:
            self.fail(f'{value!r} is not above zero; use a time such as 5s, or "never"', param, ctx)
        return seconds


DURATION = DurationType()
QUIET_TIME = QuietTimeType()
