"""`sidegate doctor`: what this machine offers, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sidegate.cli.commands import Command, json_option, spark_home_option
from sidegate.cli.exit_codes import ExitCode
from sidegate.cli.printing import emit, printable

if TYPE_CHECKING:
    from sidegate.cli.checks import Check

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "broken": ("✗", "red")}


@click.command(
    "doctor",
    cls=Command,
    examples="""
    sidegate doctor
    sidegate doctor --json | jq .checks.native
    sidegate doctor --spark
    """,
)
@click.option("--spark", is_flag=True, help="Look at Spark instead: what a job started here would get.")
@spark_home_option
@json_option
@click.pass_context
def command(ctx: click.Context, spark: bool, spark_home: str | None, as_json: bool) -> None:
    """Say what is installed, active and possible here.

    Exits with 1 when something that is needed is broken.
    """
    from sidegate.cli.checks import run_checks
    from sidegate.cli.spark_checks import run_spark_checks

    checks = run_spark_checks(spark_home) if spark or spark_home else run_checks(ctx)
    sound = all(check.state != "broken" for check in checks)
    if as_json:
        described = {
            check.name: {"state": check.state, "text": check.text, **check.facts} for check in checks
        }
        emit({"ok": sound, "checks": described})
    else:
        for check in checks:
            _show(check)
    if not sound:
        ctx.exit(ExitCode.FAILED)


def _show(check: Check) -> None:
    mark, colour = _MARKS[check.state]
    click.echo(f"{click.style(mark, fg=colour)} {check.name:<10} {printable(check.text)}")
    if check.remedy:
        click.echo(f"  {'':<10} {printable(check.remedy)}")
