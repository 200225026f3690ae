"""`sidegate run`: one job, from a pipeline spec to an output commit."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sidegate.cli.commands import Command, json_option
from sidegate.cli.cores import MAX_WORKERS
from sidegate.cli.exit_codes import ExitCode
from sidegate.cli.http_choice import choose_http
from sidegate.cli.interruption import ending_as_interrupted
from sidegate.cli.job import describe_job, log_text
from sidegate.cli.printing import emit, human_duration, human_size, note, plural, say
from sidegate.cli.session import open_store
from sidegate.cli.watching import watching
from sidegate.errors import Invalid

if TYPE_CHECKING:
    from sidegate.pfs.jobs import JobRecord
    from sidegate.pfs.store import Durability, Store

_INTERRUPTED = "interrupted"


@click.command(
    "run",
    cls=Command,
    examples="""
    sidegate run pipeline.json
    sidegate run pipeline.yaml --json | jq -r .output.commit
    sidegate run delta.json --out-policy own-reads
    """,
)
@click.argument("spec", metavar="SPEC", type=click.Path(dir_okay=False, allow_dash=True))
@click.option(
    "--out-policy",
    type=click.Choice(["write-only", "own-reads"]),
    help="What the job may read of what it writes [default: as the spec says, else write-only].",
)
@click.option(
    "--durability",
    type=click.Choice(["process", "disk"]),
    default="process",
    show_default=True,
    help="What each write of the job survives; the commit always survives the machine.",
)
@click.option(
    "--gateway-workers",
    metavar="N",
    type=click.IntRange(1, MAX_WORKERS),
    default=1,
    show_default=True,
    help="Processes that serve the job's requests; more than one for jobs that read and write on many cores.",
)
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    spec: str,
    out_policy: str | None,
    durability: Durability,
    gateway_workers: int,
    as_json: bool,
) -> None:
    """Run one job and wait for it.

    It reads the newest commits of its inputs. SPEC is a pipeline spec in JSON
    or YAML, "-" the standard input. What the
    job prints goes to stderr as it comes, with what it reads and writes over
    S3 (not with --json); the id of the output commit to stdout. Ctrl-C stops
    the job and leaves nothing.

    Exits with 0 when the job succeeded, 1 when it failed, 2 when the spec is
    refused.
    """
    text = _read_spec(spec)
    with open_store(ctx, durability) as store:
        job = _run(store, text, out_policy, gateway_workers, quiet=as_json)
        if as_json:
            emit(describe_job(job))
        elif job.output is not None:
            say(job.output["commit"])
        _say_outcome(store, job)
    if job.state != "SUCCESS":
        ctx.exit(ExitCode.INTERRUPTED if job.reason == _INTERRUPTED else ExitCode.FAILED)


def _read_spec(path: str) -> str:
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        return data.decode()
    except FileNotFoundError:
        raise Invalid(f"there is no pipeline spec {path!r}", remedy="check the path", path=path) from None
    except UnicodeDecodeError as error:
        raise Invalid(
            f"{path!r} is not UTF-8 at byte {error.start}", remedy="save it as UTF-8", path=path
        ) from None


def _run(store: Store, text: str, out_policy: str | None, workers: int, *, quiet: bool) -> JobRecord:
    from sidegate.app import SidecarSettings, session_opener, tune_process
    from sidegate.pps.abandoned import settle_abandoned
    from sidegate.pps.jobs import RunSetting, run_job
    from sidegate.pps.spark.configuration import SparkConfiguration
    from sidegate.pps.spark.connectors import ConnectorCache, cache_root
    from sidegate.pps.spec import parse_spec

    tune_process()
    settle_abandoned(store)
    loop, parser = choose_http(os.environ)
    opener = session_opener(store, SidecarSettings(loop=loop, parser=parser, workers=workers))
    spark = SparkConfiguration(ConnectorCache(cache_root(os.environ)))
    setting = RunSetting(Path.cwd(), dict(os.environ), out_policy, contributors=(spark,))
    # A terminal that closes ends the job as Ctrl-C does.
    with ending_as_interrupted(), watching(quiet=quiet) as (show_text, show_traffic):
        return run_job(
            store,
            parse_spec(text),
            setting,
            opener,
            lambda entry: show_text(log_text(entry)),
            show_traffic,
        )


def _say_outcome(store: Store, job: JobRecord) -> None:
    took = ""
    if job.started_us is not None and job.finished_us is not None:
        took = f" after {human_duration(job.finished_us - job.started_us)}"
    if job.output is None:
        note(f"{job.state}{took}: no commit was made; see `sidegate job inspect {job.id}`")
        return
    commit = store.commits.get(job.output["commit"])
    branch = f"{commit.repo}@{commit.branch}"
    content = f"{plural(commit.file_count, 'file')}, {human_size(commit.size_bytes)}"
    note(f"{job.state}{took}: {content} in {branch}; see `sidegate provenance {branch}`")
