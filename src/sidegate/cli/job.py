"""`sidegate job`: what was run, with what outcome."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

import click

from sidegate.cli.commands import Group, json_option
from sidegate.cli.printing import (
    emit,
    human_duration,
    human_size,
    human_time,
    iso_time,
    listing,
    note,
    plural,
    printable,
    short_id,
    table,
)
from sidegate.cli.session import open_store

if TYPE_CHECKING:
    from sidegate.pfs.jobs import JobRecord
    from sidegate.pfs.store import Store
    from sidegate.pps.joblog import LogEntry

_POLL_SECONDS = 0.3


@click.group(
    "job",
    cls=Group,
    examples="""
    sidegate job list
    sidegate job logs 3f2a9c
    """,
)
def command() -> None:
    """Look at jobs, and stop them."""


@command.command(
    "list",
    examples="""
    sidegate job list
    sidegate job list -p s3_protocol_enabled_pipeline
    sidegate job list --json | jq -r 'select(.state == "FAILURE") | .job'
    """,
)
@click.option("-p", "--pipeline", metavar="NAME", help="Only the jobs of this pipeline.")
@click.option("-n", "--number", type=click.IntRange(min=1), metavar="N", help="Only the newest N.")
@json_option
@click.pass_context
def list_jobs(ctx: click.Context, pipeline: str | None, number: int | None, as_json: bool) -> None:
    """List jobs, newest first."""
    with _settled_store(ctx) as store:
        jobs = store.jobs.list(pipeline)[:number]
    if as_json:
        for job in jobs:
            emit(describe_job(job))
    elif not jobs:
        note("there are no jobs yet; run one with `sidegate run SPEC`")
    else:
        table(("JOB", "PIPELINE", "STATE", "CREATED", "TOOK", "OUTPUT"), [_row(job) for job in jobs])


@command.command(
    "inspect",
    examples="""
    sidegate job inspect 3f2a9c
    sidegate job inspect 3f2a9c --json
    """,
)
@click.argument("job")
@json_option
@click.pass_context
def inspect(ctx: click.Context, job: str, as_json: bool) -> None:
    """Show one job: its inputs, output, and what was run.

    Also what it read and wrote over S3: objects, bytes and requests of each
    input and of "out", over all attempts. An object that two attempts read
    counts twice. JOB is the job's id or the first digits of it.
    """
    with _settled_store(ctx) as store:
        found = store.jobs.get(job)
    if as_json:
        emit(describe_job(found))
        return
    run = found.details.get("run") or {}
    inputs = {
        f"input {one['name']}": f"{one['repo']}@{one['branch']} {one['commit']}" for one in found.inputs
    }
    listing(
        {
            "job": found.id,
            "pipeline": f"{found.pipeline} (version {found.pipeline_version})",
            "state": found.state,
            "reason": found.reason or "-",
            "created": human_time(found.created_us),
            "took": _duration(found),
            "attempts": str(found.attempts),
            **inputs,
            "output": _output(found),
            **_traffic(found),
            "command": " ".join(run.get("argv", [])) or "-",
            "directory": run.get("working_directory", "-"),
        }
    )


@command.command(
    "logs",
    examples="""
    sidegate job logs 3f2a9c
    sidegate job logs -f 3f2a9c
    sidegate job logs 3f2a9c --json | jq -r 'select(.stream == "stderr") | .text'
    """,
)
@click.argument("job")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job ends.")
@json_option
@click.pass_context
def logs(ctx: click.Context, job: str, follow: bool, as_json: bool) -> None:
    """Print what a job printed."""
    with _settled_store(ctx) as store:
        identity = store.jobs.get(job).id
        entries = _follow(store, identity) if follow else _read(store, identity)
        for entry in entries:
            if as_json:
                emit(
                    {
                        "time": entry.time_seconds,
                        "stream": entry.stream,
                        "datum": entry.datum,
                        "attempt": entry.attempt,
                        "text": entry.text,
                    }
                )
            else:
                click.echo(log_text(entry))


@command.command("stop", examples="sidegate job stop 3f2a9c")
@click.argument("job")
@click.pass_context
def stop(ctx: click.Context, job: str) -> None:
    """Stop a running job; it ends as KILLED and leaves nothing."""
    from sidegate.pps.jobs import request_stop

    with _settled_store(ctx) as store:
        asked = request_stop(store, store.jobs.get(job).id)
        note(f"asked job {asked.id} to stop; see `sidegate job inspect {asked.id}`")


def describe_job(job: JobRecord) -> dict[str, object]:
    """Return a job as JSON data."""
    return {
        "job": job.id,
        "pipeline": job.pipeline,
        "pipeline_version": job.pipeline_version,
        "state": job.state,
        "reason": job.reason,
        "attempts": job.attempts,
        "inputs": job.inputs,
        "output": job.output,
        "created": iso_time(job.created_us),
        "started": iso_time(job.started_us),
        "finished": iso_time(job.finished_us),
        "details": job.details,
    }


def log_text(entry: LogEntry) -> str:
    """Return a line of a job's log as it is shown; our own lines say so."""
    from sidegate.pps.joblog import SIDEGATE

    if entry.stream == SIDEGATE:
        return click.style(f"[sidegate] {printable(entry.text)}", dim=True)
    return entry.text


@contextmanager
def _settled_store(ctx: click.Context) -> Iterator[Store]:
    """Open the store, with the jobs ended whose runner was killed."""
    from sidegate.pps.abandoned import settle_abandoned

    with open_store(ctx) as store:
        settle_abandoned(store)
        yield store


def _read(store: Store, job: str) -> Iterator[LogEntry]:
    from sidegate.pps.joblog import read_log

    return read_log(store.directory, job)


def _follow(store: Store, job: str) -> Iterator[LogEntry]:
    """Yield the log as it grows, until the job has ended."""
    from sidegate.pps.states import JobState

    seen = 0
    while True:
        ended = JobState(store.jobs.get(job).state).is_final
        for entry in islice(_read(store, job), seen, None):
            seen += 1
            yield entry
        if ended:
            return
        time.sleep(_POLL_SECONDS)


def _row(job: JobRecord) -> tuple[str, ...]:
    return (
        short_id(job.id),
        job.pipeline,
        job.state,
        human_time(job.created_us),
        _duration(job),
        _output(job) if job.output is not None else job.reason or "-",
    )


def _output(job: JobRecord) -> str:
    if job.output is None:
        return "-"
    return f"{job.output['repo']}@{job.output['branch']} {short_id(job.output['commit'])}"


def _traffic(job: JobRecord) -> dict[str, str]:
    """Return what each input gave and `out` took, over all attempts."""
    shown = {}
    for place in job.details.get("traffic", []):
        more = "" if place["objects_exact"] else "more than "
        moved = {
            "read": (place["objects_read"], place["bytes_read"]),
            "wrote": (place["objects_written"], place["bytes_written"]),
        }
        parts = [
            f"{verb} {more}{plural(count, 'object')}, {human_size(size_bytes)}"
            for verb, (count, size_bytes) in moved.items()
            if count or size_bytes
        ]
        if place["objects_copied"]:
            parts.append(f"copied {plural(place['objects_copied'], 'object')}")
        parts.append(plural(sum(place["requests"].values()), "request"))
        refused = sum(place["refusals"].values())
        shown[f"traffic {place['name']}"] = "; ".join(
            [*parts, *([f"{refused:,} refused"] if refused else [])]
        )
    return shown


def _duration(job: JobRecord) -> str:
    if job.started_us is None or job.finished_us is None:
        return "-"
    return human_duration(job.finished_us - job.started_us)
