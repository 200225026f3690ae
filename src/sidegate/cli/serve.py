"""`sidegate serve`: the general gateway, for any S3 client."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from sidegate.cli.commands import Command, json_option
from sidegate.cli.cores import DEFAULT_WORKERS, MAX_WORKERS, default_workers
from sidegate.cli.durations import QUIET_TIME
from sidegate.cli.http_choice import choose_http
from sidegate.cli.printing import emit, note, say
from sidegate.cli.session import open_store
from sidegate.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidegate.pfs.store import Durability, Store

DEFAULT_ADDRESS = "127.0.0.1:30600"
"""The port that Pachyderm gives its S3 gateway (its manual, "S3 Gateway")."""

DEFAULT_DOMAINS = ("s3.localhost",)

ACCESS_KEY_VARIABLE = "SIDEGATE_ACCESS_KEY"
SECRET_KEY_VARIABLE = "SIDEGATE_SECRET_KEY"


@click.command(
    "serve",
    cls=Command,
    examples="""
    sidegate serve
    sidegate serve --address 127.0.0.1:0 --json
    sidegate serve --finish-after never
    SIDEGATE_ACCESS_KEY=lab SIDEGATE_SECRET_KEY=… sidegate serve --address 0.0.0.0:30600
    """,
)
@click.option(
    "--address",
    metavar="HOST:PORT",
    default=DEFAULT_ADDRESS,
    show_default=True,
    help="Where to listen; port 0 takes a free one.",
)
@click.option(
    "--finish-after",
    metavar="TIME",
    type=QUIET_TIME,
    default="5s",
    show_default=True,
    help='Finish the open commit of a branch after this quiet time; "never" leaves it to `commit finish`.',
)
@click.option("--anonymous", is_flag=True, help="Let anyone in who reaches the address.")
@click.option(
    "--durability",
    type=click.Choice(["process", "disk"]),
    default="disk",
    show_default=True,
    help="What a write survives once it is acknowledged: a kill, or a power cut.",
)
@click.option(
    "--etag",
    type=click.Choice(["opaque", "md5"]),
    default="opaque",
    show_default=True,
    help="What an object's ETag is made from; md5, for clients that compare it, costs half the upload speed.",
)
@click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(1, MAX_WORKERS),
    help=f"Processes that share the work [default: one for each core, at most {DEFAULT_WORKERS}].",
)
@click.option("--domain", metavar="NAME", multiple=True, help="Also take BUCKET.NAME as a host name.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    address: str,
    finish_after: float | None,
    anonymous: bool,
    durability: Durability,
    etag: str,
    workers: int | None,
    domain: tuple[str, ...],
    as_json: bool,
) -> None:
    """Serve the store to S3 clients until Ctrl-C.

    A bucket is a version of a repo: `repo`, `branch.repo` or
    `commit.branch.repo`. Any version can be read; writes go to a branch and
    gather in its open commit. With SIDEGATE_ACCESS_KEY and SIDEGATE_SECRET_KEY
    set, requests must be signed with them; without, it serves this machine
    only, unless --anonymous is given.

    With several workers each connection is served by one process, and all
    see each other's writes at once. One that dies is replaced.
    """
    from sidegate.app import ServeSettings, parse_address, parse_domain, serve

    host, port = parse_address(address)
    loop, parser = choose_http(os.environ)
    settings = ServeSettings(
        host=host,
        port=port,
        finish_after_seconds=finish_after,
        anonymous=anonymous,
        loop=loop,
        parser=parser,
        md5_tags=etag == "md5",
        access_keys=_access_keys(os.environ),
        base_domains=(*DEFAULT_DOMAINS, *map(parse_domain, domain)),
        workers=workers or default_workers(),
    )

    def announce(endpoint: str) -> None:
        if as_json:
            emit({"endpoint": endpoint})
        else:
            say(endpoint)
        sys.stdout.flush()
        note(f"serving {store.directory}; Ctrl-C stops. Try: aws --endpoint-url {endpoint} s3 ls")

    with open_store(ctx, durability) as store:
        serve(store, settings, announce)
        note("stopped")
        _note_open_commits(store)


def _note_open_commits(store: Store) -> None:
    for info in store.stagings.all():
        if info.purpose == "open":
            branch = f"{info.repo}@{info.branch}"
            note(f"{branch} has writes that no commit holds yet; `sidegate commit finish {branch}` makes one")


def _access_keys(environment: Mapping[str, str]) -> dict[str, str] | None:
    """Return the one key pair that is let in, None when there is none; raises Invalid for half of it."""
    access, secret = environment.get(ACCESS_KEY_VARIABLE), environment.get(SECRET_KEY_VARIABLE)
    if bool(access) != bool(secret):
        missing = SECRET_KEY_VARIABLE if access else ACCESS_KEY_VARIABLE
        raise Invalid(f"{missing} is not set, and the other half of the key is", remedy="set both or neither")
    return {access: secret} if access and secret else None
