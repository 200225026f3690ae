"""`sidegate fsck`: is everything there, and what was written?"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from sidegate.cli.commands import Command, json_option
from sidegate.cli.exit_codes import ExitCode
from sidegate.cli.printing import emit, note, plural, say
from sidegate.cli.session import open_store

if TYPE_CHECKING:
    from sidegate.pfs.checking import CheckReport, Finding

_REFERRERS_SHOWN = 5


@click.command(
    "fsck",
    cls=Command,
    examples="""
    sidegate fsck
    sidegate fsck --quick
    sidegate fsck --repair --json
    """,
)
@click.option("--quick", is_flag=True, help="Do not read the contents of files.")
@click.option("--repair", is_flag=True, help="Rebuild what can be rebuilt: the chunk index, from the packs.")
@json_option
@click.pass_context
def command(ctx: click.Context, quick: bool, repair: bool, as_json: bool) -> None:
    """Check the store: catalog, trees, chunks and packs.

    Says what is lost or damaged, and which files of which commits that hits.
    Exits with 5 when something is wrong and stays so.
    """
    from sidegate.pfs.checking import check

    with open_store(ctx) as store:
        report = check(store, quick=quick, repair=repair)
    if as_json:
        emit({"clean": report.clean, **asdict(report)})
    else:
        _show(report, repair)
    if not report.clean:
        ctx.exit(ExitCode.CORRUPT)


def _show(report: CheckReport, repair: bool) -> None:
    for finding in report.repaired:
        say(f"repaired: {finding.kind} {finding.subject}: {finding.message}")
    for finding in report.findings:
        say(f"{finding.kind} {finding.subject}: {finding.message}")
        _show_referrers(finding)
    looked_at = (
        f"{plural(report.commits, 'commit')}, {plural(report.files, 'file')}, "
        f"{plural(report.chunks, 'chunk')}, {plural(report.packs, 'pack')}"
    )
    if report.clean:
        say(f"nothing is wrong in {looked_at}")
        return
    note(f"{plural(len(report.findings), 'fault')} in {looked_at}")
    if not repair:
        note("`sidegate fsck --repair` rebuilds what can be rebuilt")


def _show_referrers(finding: Finding) -> None:
    for referrer in finding.referrers[:_REFERRERS_SHOWN]:
        say(f"  needed by {referrer}")
    more = finding.referrer_count - _REFERRERS_SHOWN
    if more > 0:
        say(f"  and {more:,} more")
