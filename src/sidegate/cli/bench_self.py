"""`sidegate bench self`: our gateway beside the bare server and its peers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sidegate.cli.bench_options import (
    check_files,
    choose_cells,
    finish,
    keep,
    make_settings,
    measuring_options,
    print_cells,
    print_document,
    print_failures,
    print_goals,
    progress,
)
from sidegate.cli.commands import Command
from sidegate.cli.interruption import ending_as_interrupted
from sidegate.cli.printing import say
from sidegate.errors import Unsupported

if TYPE_CHECKING:
    from sidegate.bench.own import OwnRun


@click.command(
    "self",
    cls=Command,
    examples="""
    sidegate bench self
    sidegate bench self --cells 'put-*' --rounds 5 --html bench.html
    sidegate bench self --scale smoke --no-peers
    """,
)
@measuring_options
@click.option("--no-peers", is_flag=True, help="Leave out other servers, even where they are installed.")
@click.option("--all", "show_all", is_flag=True, help="Also print every figure of every server.")
@click.option(
    "--folder",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Where the servers store, in a folder that is removed [default: the system's for such].",
)
@click.pass_context
def command(
    ctx: click.Context,
    cells: str,
    list_cells: bool,
    rounds: int | None,
    duration: float | None,
    concurrency: int | None,
    scale: str,
    json_path: Path | None,
    html_path: Path | None,
    no_peers: bool,
    show_all: bool,
    folder: Path | None,
) -> None:
    """Measure this gateway beside a bare server and its peers.

    Starts a job's gateway on a store that it makes, a bare HTTP server that
    stores nothing (the ceiling), and each of minio, versitygw, s3s-fs and
    rclone that is on PATH; servers on one core, the client on another.
    Exits with 1 when this gateway gave a wrong answer, not when a goal is
    missed.
    """
    from sidegate.bench.cells import CELLS

    if list_cells:
        print_cells(CELLS)
        return
    if not sys.platform.startswith("linux"):
        raise Unsupported("`bench self` pins processes to cores, which works on Linux only")
    from sidegate.bench.corpus import scale_named
    from sidegate.bench.own import run_self
    from sidegate.bench.rounds import Settings

    settings = make_settings(
        scale,
        duration,
        rounds,
        concurrency,
        defaults=Settings(scale_named(scale), 0.5, 3, patience_seconds=3.0),
    )
    chosen = choose_cells(cells, CELLS)
    check_files(json=json_path, html=html_path)
    with ending_as_interrupted():
        run = run_self(chosen, settings, progress(), folder=folder, with_peers=not no_peers)
    if show_all:
        print_document(run.document)
    _print_goals(run)
    print_failures(run.document)
    keep(run.document, json_path, html_path)
    finish(ctx, run.ours_failed)


def _print_goals(run: OwnRun) -> None:
    from sidegate.bench import own_report

    print_goals(own_report.rows(run))
    for line in own_report.notes(run):
        say(line)
