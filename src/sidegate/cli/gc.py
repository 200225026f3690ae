"""`sidegate gc`: give back the space of what nothing refers to."""

from __future__ import annotations

from dataclasses import asdict

import click

from sidegate.cli.commands import Command, json_option
from sidegate.cli.durations import DURATION
from sidegate.cli.exit_codes import ExitCode
from sidegate.cli.printing import emit, human_size, note, plural, say
from sidegate.cli.session import open_store


@click.command(
    "gc",
    cls=Command,
    examples="""
    sidegate gc
    sidegate gc --window 10m
    """,
)
@click.option(
    "--window",
    metavar="TIME",
    type=DURATION,
    default="1h",
    show_default=True,
    help="Leave alone what was written within this time.",
)
@json_option
@click.pass_context
def command(ctx: click.Context, window: float, as_json: bool) -> None:
    """Give back the space of deleted commits and failed jobs.

    It takes two rounds, a window apart: the first marks what nothing refers
    to, the second removes it if that is still so. Reading, writing and jobs go
    on meanwhile.
    """
    from sidegate.pfs.collection import collect

    with open_store(ctx) as store:
        report = collect(store, window_us=round(window * 1_000_000))
    if as_json:
        emit({**asdict(report), "bytes_reclaimed": report.bytes_reclaimed})
    else:
        say(
            f"gave back {human_size(max(report.bytes_reclaimed, 0))}; {human_size(report.bytes_after)} remain"
        )
    if report.chunks_condemned:
        chunks = plural(report.chunks_condemned, "chunk")
        note(f"{chunks} will go in the next round, if nothing uses them by then")
    if report.packs_postponed:
        packs = plural(report.packs_postponed, "half-empty pack")
        note(f"no room on the disk to rewrite {packs}; free some and run it again")
    if report.damaged_packs:
        names = ", ".join(report.damaged_packs)
        note(f"damaged and left alone: {names}; run `sidegate fsck`")
        ctx.exit(ExitCode.CORRUPT)
