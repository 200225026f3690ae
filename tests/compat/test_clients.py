"""Every client and every capability: what works, and what each client says of a refusal.

`docs/clients.md` is written from the results.  A cell that a client cannot reach is in `clients`,
with the reason; where it can be asked for, the test holds it to the error it gives.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from client_jobs import LARGE_BYTES, MANY, MIB, TABLE_SUM, ClientJob, many_keys, record, text
from client_process import ClientError, interpreter
from clients import CLIENTS, ODD_KEYS, Client

pytestmark = [pytest.mark.client, pytest.mark.slow]

REFUSAL = re.compile(r"Access.?Denied|\b403\b|Forbidden|Permission|read-only|write-only", re.IGNORECASE)
SIZES = {"0 B": 0, "1 B": 1, "5 MiB": 5 * MIB, "64 MiB": 64 * MIB}

chosen = os.environ.get("SIDEGATE_CLIENTS", "").split()
CELLS = [
    pytest.param(client, capability, id=f"{client.name}-{capability}".replace(" ", "_"))
    for client in CLIENTS
    if not chosen or client.group in chosen
    for capability in client.asked
]


def fetched(job: ClientJob, action: str, *, bucket: str, key: str, **more: object) -> bytes:
    """Let the client bring something and return it."""
    target = job.folder / "fetched"
    target.unlink(missing_ok=True)
    job.ask(action, bucket=bucket, key=key, file=str(target), **more)
    return target.read_bytes()


def send(job: ClientJob, key: str, count: int, *, action: str = "write", seed: str = "") -> bytes:
    """Let the client write to `out`, and return what it was given."""
    file = job.world.file_of(count, seed)
    job.ask(action, bucket="out", key=key, file=str(file))
    return file.read_bytes()


def held(job: ClientJob, key: str) -> bytes | None:
    """What is in `out` now: a table format is asked for its rows, all others are looked at from inside."""
    if job.client.own_reads:
        return fetched(job, "read", bucket="out", key=key)
    return job.written(key)


def list_many(job: ClientJob) -> None:
    bucket, prefix = "inp", "many/"
    if job.client.own_reads:  # it lists only below a table of its own
        bucket, prefix = "out", "listed/"
        send(job, "listed", 10)
        line = record(job.world.store, b"1\n")
        job.staging.put_many([(key, line) for key in many_keys(prefix)])
    keys = job.ask("list_keys", bucket=bucket, prefix=prefix)
    assert len(keys) == MANY
    assert sorted(keys) == many_keys(prefix)


def read(job: ClientJob) -> None:
    if job.client.own_reads:
        assert send(job, "read", 3 * MIB) == held(job, "read")
        return
    assert fetched(job, "read", bucket="inp", key="small.txt") == text(1000, "small")
    assert fetched(job, "read", bucket="inp", key="large.txt") == text(LARGE_BYTES, "large")


def read_range(job: ClientJob) -> None:
    start, end = 3 * MIB, 3 * MIB + MIB // 2
    if job.client.own_reads:
        content = send(job, "range", 5 * MIB)
        assert (
            fetched(job, "read_range", bucket="out", key="range", start=start, end=end) == content[start:end]
        )
        return
    content = text(LARGE_BYTES, "large")
    assert (
        fetched(job, "read_range", bucket="inp", key="large.txt", start=start, end=end) == content[start:end]
    )


def write_parts(job: ClientJob) -> None:
    content = send(job, "parts", job.client.parts_mib * MIB, action="write_parts")
    assert held(job, "parts") == content
    assert job.parts("parts") > 1


def delete(job: ClientJob) -> None:
    send(job, "deleted", 10)
    job.ask("delete", bucket="out", key="deleted")
    if job.client.own_reads:
        assert held(job, "deleted") == b""
    else:
        assert job.below("deleted") == []


def copy(job: ClientJob) -> None:
    content = send(job, "copied/from.txt", 3 * MIB)
    job.ask("copy", bucket="out", key="copied/from.txt", target="copied/to.txt")
    assert job.written("copied/to.txt") == content


def overwrite(job: ClientJob) -> None:
    first, second = (send(job, "again", 2 * MIB, seed=seed) for seed in ("first", "second"))
    assert first != second
    assert held(job, "again") == second


def table(job: ClientJob) -> None:
    source = job.world.table
    assert source is not None, "no pyarrow in the environment `core`"
    job.ask("write_table", source=str(source), location="s3://out/table")
    if job.client.own_reads:
        assert job.ask("sum_table", location="s3://out/table") == TABLE_SUM
        return
    assert job.ask("sum_table", location="s3://inp/table/table.parquet") == TABLE_SUM
    assert job.ask("sum_table", location=str(job.export("table/"))) == TABLE_SUM


def odd_key(job: ClientJob, name: str) -> None:
    """The same key is written, compared, and read from the input."""
    key = f"odd/{name}"
    content = send(job, key, 100, seed=f"odd {len(name)}")
    assert held(job, key) == content
    if job.client.own_reads:
        return
    assert job.below("odd/") == [key]
    assert fetched(job, "read", bucket="inp", key=key) == text(100, name)
    job.staging.delete([key])


def do_all(steps: Iterable[Callable[[], object]]) -> None:
    for step in steps:
        step()


def refusal(job: ClientJob, *steps: Callable[[], object]) -> str:
    """Return what the client says when one of the steps is refused."""
    began = time.monotonic()
    with pytest.raises(ClientError) as caught:
        do_all(steps)
    message = str(caught.value)
    assert REFUSAL.search(message), message
    assert time.monotonic() - began < 30, "the client retried what will never work"
    return message.replace(job.gateway.endpoint, "http://ENDPOINT")


def write_to_input(job: ClientJob) -> str:
    file = str(job.world.file_of(10))
    return refusal(job, lambda: job.ask("write", bucket="inp", key="new/a.txt", file=file))


def read_out(job: ClientJob) -> str:
    """A table format reads what it wrote as soon as it writes a second time, or at once."""
    return refusal(
        job,
        lambda: send(job, "back.txt", 100_000),
        lambda: send(job, "back.txt", 100_000, action="append") if job.client.own_reads else None,
        lambda: fetched(job, "read", bucket="out", key="back.txt"),
    )


CHECKS: dict[str, Callable[[ClientJob], str | None]] = {
    "list": list_many,
    "read": read,
    "range": read_range,
    "multipart": write_parts,
    "delete": delete,
    "copy": copy,
    "overwrite": overwrite,
    "table": table,
    "write to input": write_to_input,
    "read out": read_out,
}


def check(job: ClientJob, capability: str) -> str | None:
    """Hold the client to one capability; return what it said of a refusal."""
    if capability in SIZES:
        content = send(job, f"sizes/{SIZES[capability]}.txt", SIZES[capability])
        assert held(job, f"sizes/{SIZES[capability]}.txt") == content
        return None
    if capability.startswith("key: "):
        odd_key(job, ODD_KEYS[capability.removeprefix("key: ")])
        return None
    return CHECKS[capability](job)


def reason_not_to_run(client: Client) -> str | None:
    if not interpreter(client).exists():
        return f"{client.name} is not installed: scripts/client_environments.sh {client.group}"
    if client.name == "rclone" and shutil.which("rclone") is None:
        return "rclone is not installed"
    return None


@pytest.mark.parametrize(("client", "capability"), CELLS)
def test_client(client: Client, capability: str, client_job: Any, report: Any, tmp_path: Path) -> None:
    cell = report.cell(client, capability)
    reason = reason_not_to_run(client)
    if reason is not None:
        cell.update(outcome="not run", message=reason)
        pytest.skip(reason)
    job: ClientJob = client_job(client, own_reads=client.own_reads and capability != "read out")
    report.versions(client, job.versions)
    limit = client.limits.get(capability)
    if limit is not None:
        with pytest.raises((ClientError, AssertionError)) as caught:
            check(job, capability)
        assert re.search(limit.error or "", str(caught.value)), str(caught.value)
        cell.update(outcome="limited")
        return
    message = check(job, capability)
    cell.update(outcome="passed", message=message)
