"""`sidegate bench`: measuring S3 servers."""

from __future__ import annotations

import click

from sidegate.cli.commands import Group


@click.group(
    "bench",
    cls=Group,
    lazy={"s3": "sidegate.cli.bench_s3", "self": "sidegate.cli.bench_self"},
    examples="""
    sidegate bench s3 http://127.0.0.1:9000
    sidegate bench s3 --compare before.json after.json
    sidegate bench self
    """,
)
def command() -> None:
    """Measure S3 servers: any of them, or this one beside its peers."""
