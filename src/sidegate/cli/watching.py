"""What `sidegate run` shows while a job runs: its log, and what moves.

On a terminal the last lines say what was read and written and how fast;
elsewhere a line says so every few seconds, if something moved.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import click

from sidegate.cli.printing import human_size, note, plural

if TYPE_CHECKING:
    from rich.live import Live

    from sidegate.pps.traffic import PlaceTraffic

_RATE_SECONDS = 3.0
"""Rates on a terminal are of this long."""

_LINE_SECONDS = 5.0
"""Between two lines where there is no terminal."""

Amounts = dict[tuple[str, str], int]


class Rates:
    """How many bytes per second went in and out of each place of late."""

    def __init__(self, window_seconds: float) -> None:
        self._window_seconds = window_seconds
        self._samples: deque[tuple[float, Amounts]] = deque()

    def add(self, now: float, places: Sequence[PlaceTraffic]) -> None:
        """Take the totals of this moment."""
        amounts = {(place.name, "read"): place.read_bytes for place in places}
        amounts |= {(place.name, "wrote"): place.written_bytes for place in places}
        self._samples.append((now, amounts))
        while len(self._samples) > 2 and self._samples[1][0] <= now - self._window_seconds:
            self._samples.popleft()

    def of(self, name: str, direction: str) -> float:
        """Return the rate of one place, 0 before there are two moments."""
        (begin, before), (end, after) = self._samples[0], self._samples[-1]
        if end <= begin:
            return 0.0
        return (after.get((name, direction), 0) - before.get((name, direction), 0)) / (end - begin)


def describe_traffic(places: Sequence[PlaceTraffic], rates: Rates | None = None) -> list[str]:
    """Return up to two lines, on what was read and what was written; none when nothing moved."""

    def amount(place: PlaceTraffic, direction: str, count: int, size_bytes: int) -> str:
        more = "" if place.exact else "more than "
        text = f"{place.name}: {more}{plural(count, 'object')}, {human_size(size_bytes)}"
        rate = int(rates.of(place.name, direction)) if rates is not None else 0
        return f"{text}, {human_size(rate)}/s" if rate else text

    def written(place: PlaceTraffic) -> str:
        text = amount(place, "wrote", place.objects_written, place.written_bytes)
        return f"{text}, {place.objects_copied:,} copied" if place.objects_copied else text

    read = [
        amount(place, "read", place.objects_read, place.read_bytes) for place in places if place.objects_read
    ]
    wrote = [
        written(place)
        for place in places
        if place.objects_written or place.objects_copied or place.written_bytes
    ]
    lines = (("read", read), ("wrote", wrote))
    return [f"{verb} {', '.join(parts)}" for verb, parts in lines if parts]


def show_text(text: str) -> None:
    """Print a line of the log on stderr."""
    click.echo(text, err=True)


@contextmanager
def watching(
    *, quiet: bool, clock: Callable[[], float] = time.monotonic
) -> Iterator[tuple[Callable[[str], None], Callable[[Sequence[PlaceTraffic]], None]]]:
    """Yield what prints a line of the log, and what shows traffic; `quiet` shows none."""
    if quiet:
        yield show_text, _show_nothing
    elif sys.stderr.isatty():
        with ExitStack() as stack:
            status = StatusLines(stack, clock)
            yield status.show_text, status.show_traffic
    else:
        yield show_text, TrafficLines(clock).show_traffic


def _show_nothing(places: Sequence[PlaceTraffic]) -> None:
    pass


class TrafficLines:
    """Says now and then what moved, one line each time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rates = Rates(_LINE_SECONDS)
        self._said: list[PlaceTraffic] = []
        self._next = clock() + _LINE_SECONDS

    def show_traffic(self, places: Sequence[PlaceTraffic]) -> None:
        """Say what moved, unless that was said a moment ago or nothing did."""
        now = self._clock()
        self._rates.add(now, places)
        if now < self._next or list(places) == self._said:
            return
        lines = describe_traffic(places, self._rates)
        if lines:
            self._next, self._said = now + _LINE_SECONDS, list(places)
            note(f"[sidegate] {'; '.join(lines)}")


class StatusLines:
    """Keeps one or two lines below the log, from when something moves until the job ends."""

    def __init__(self, stack: ExitStack, clock: Callable[[], float]) -> None:
        self._stack = stack
        self._clock = clock
        self._rates = Rates(_RATE_SECONDS)
        self._live: Live | None = None

    def show_traffic(self, places: Sequence[PlaceTraffic]) -> None:
        """Draw what was read and written."""
        from rich.text import Text

        self._rates.add(self._clock(), places)
        lines = describe_traffic(places, self._rates)
        if not lines:
            return
        if self._live is None:
            self._live = self._start()
        text = Text("\n".join(lines), style="dim", no_wrap=True, overflow="ellipsis")
        self._live.update(text, refresh=True)

    def show_text(self, text: str) -> None:
        """Print a line of the log above them."""
        if self._live is None:
            show_text(text)
            return
        from rich.text import Text

        self._live.console.print(Text.from_ansi(text), soft_wrap=True)

    def _start(self) -> Live:
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True, highlight=False)
        live = Live(
            console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        return self._stack.enter_context(live)
