"""`sidegate bench s3`: measure servers that are running."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    print_table,
    progress,
)
from sidegate.cli.commands import Command
from sidegate.cli.interruption import ending_as_interrupted
from sidegate.cli.printing import note, say
from sidegate.errors import Invalid

DURATION_SECONDS = 2.0
ROUNDS = 3

if TYPE_CHECKING:
    from sidegate.bench.runs import Request
    from sidegate.bench.signing import Keys, Style


@click.command(
    "s3",
    cls=Command,
    examples="""
    sidegate bench s3 http://127.0.0.1:9000
    sidegate bench s3 ours=http://127.0.0.1:30600 minio=http://127.0.0.1:9000 --pid minio=4711
    sidegate bench s3 http://127.0.0.1:9000 --cells 'get-*,head' --duration 5s --json now.json
    sidegate bench s3 --compare before.json now.json
    """,
)
@click.argument("urls", metavar="[LABEL=]URL...", nargs=-1)
@measuring_options
@click.option(
    "--sign",
    type=click.Choice(["presigned", "header", "none"]),
    default="presigned",
    show_default=True,
    help="How requests are signed.",
)
@click.option("--profile", metavar="NAME", help="The profile in ~/.aws whose keys to use.")
@click.option("--access-key", metavar="KEY", help="The access key [default: as SDKs find it].")
@click.option("--secret-key", metavar="SECRET", help="Its secret; AWS_SECRET_ACCESS_KEY hides it from `ps`.")
@click.option("--region", metavar="NAME", help="What to sign for.")
@click.option("--bucket", metavar="NAME", help="Work in this bucket instead of one with a random name.")
@click.option("--use-existing", is_flag=True, help="Allow --bucket to be there already.")
@click.option(
    "--pid",
    "pids",
    metavar="LABEL=PID",
    multiple=True,
    help="The server's process on this machine, to see its CPU time and memory.",
)
@click.option(
    "--compare",
    nargs=2,
    metavar="OLD NEW",
    type=click.Path(path_type=Path),
    help="Compare two kept runs instead of measuring.",
)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    urls: tuple[str, ...],
    list_cells: bool,
    json_path: Path | None,
    html_path: Path | None,
    compare: tuple[Path, Path] | None,
    **given: Any,
) -> None:
    """Measure S3 servers, side by side.

    Loads its data once into a bucket that it makes, measures each cell in
    rounds that alternate between the servers, checks every answer, and removes
    what it stored. Any wrong answer makes the exit code 1, and so does anything
    that could not be removed: the last lines say what.

    A server that keeps history may refuse to remove the bucket; give
    `sidegate serve` --finish-after never, so that it makes no commit meanwhile.
    """
    from sidegate.bench.cells import measured_anywhere
    from sidegate.bench.listening import strangers
    from sidegate.bench.runs import run

    if compare is not None:
        _refuse_beside_compare(ctx)
        _compare(*compare)
        return
    if list_cells:
        print_cells(measured_anywhere())
        return
    if not urls:
        raise click.UsageError("name at least one server, as http://HOST:PORT", ctx)
    request = _request(urls, **given)
    check_files(json=json_path, html=html_path)
    for line in strangers(request.endpoints, request.pids):
        note(line)
    with ending_as_interrupted():
        document = run(request, progress())
    print_document(document)
    print_failures(document)
    keep(document, json_path, html_path)
    finish(ctx, bool(document["left_behind"]) or any(result["failures"] for result in document["results"]))


def _request(
    urls: tuple[str, ...],
    *,
    cells: str,
    rounds: int | None,
    duration: float | None,
    concurrency: int | None,
    scale: str,
    sign: Style,
    profile: str | None,
    access_key: str | None,
    secret_key: str | None,
    region: str | None,
    bucket: str | None,
    use_existing: bool,
    pids: tuple[str, ...],
) -> Request:
    """Return what the options ask for; raises Invalid, NotFound, Unsupported."""
    from sidegate.bench.cells import measured_anywhere
    from sidegate.bench.corpus import scale_named
    from sidegate.bench.endpoints import parse_endpoints
    from sidegate.bench.rounds import Settings
    from sidegate.bench.runs import Request

    defaults = Settings(scale_named(scale), DURATION_SECONDS, ROUNDS)
    return Request(
        parse_endpoints(urls),
        choose_cells(cells, measured_anywhere()),
        make_settings(scale, duration, rounds, concurrency, defaults=defaults),
        _keys(sign, profile, access_key, secret_key, region),
        sign,
        bucket,
        use_existing,
        _parse_pids(pids),
    )


def _keys(
    sign: Style, profile: str | None, access: str | None, secret: str | None, region: str | None
) -> Keys | None:
    from sidegate.bench.credentials import find_keys

    if sign == "none":
        return None
    return find_keys(os.environ, profile=profile, access_key=access, secret_key=secret, region=region)


def _parse_pids(texts: tuple[str, ...]) -> dict[str, int]:
    found: dict[str, int] = {}
    for label, pid in map(_parse_pid, texts):
        if label in found:
            raise Invalid(
                f"--pid names {label!r} twice: {found[label]} and {pid}",
                remedy="name the process that started the others: its children are counted with it",
            )
        found[label] = pid
    return found


def _parse_pid(text: str) -> tuple[str, int]:
    label, separator, pid = text.rpartition("=")
    if not separator or not pid.isascii() or not pid.isdigit():
        raise Invalid(f"--pid {text!r} is not valid", remedy="use LABEL=PID, with the label of an endpoint")
    return label, int(pid)


def _refuse_beside_compare(ctx: click.Context) -> None:
    """Refuse what a comparison would not heed; raises click.UsageError."""
    for parameter in ctx.command.params:
        name = parameter.name or ""
        given = ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if given and name != "compare" and ctx.params[name]:
            raise click.UsageError(
                f"--compare measures nothing: leave out {parameter.get_error_hint(ctx)}", ctx
            )


def _compare(old_path: Path, new_path: Path) -> None:
    from sidegate.bench import comparison
    from sidegate.bench.document import read_document

    old, new = read_document(old_path), read_document(new_path)
    for line in comparison.settings_that_differ(old, new):
        say(line)
    print_table(comparison, comparison.rows(old, new), elsewhere="a wider one, or a pipe, shows them")
