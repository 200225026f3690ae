"""`sidegate file diff`: what changed between two versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from sidegate.cli.commands import Command, json_option
from sidegate.cli.printing import emit, human_size, note, plural, printable
from sidegate.cli.references import REF_OPTIONAL_PATH, Reference
from sidegate.cli.session import open_store, resolve_commit

if TYPE_CHECKING:
    from sidegate.pfs.diff import Difference
    from sidegate.pfs.files import FileRecord
    from sidegate.pfs.store import Store

_SIGNS = {"added": "+", "removed": "-", "changed": "~"}
_COLOURS = {"added": "green", "removed": "red", "changed": "yellow"}


@click.command(
    "diff",
    cls=Command,
    examples="""
    sidegate file diff labresults@master
    sidegate file diff labresults@master~3 labresults@master
    sidegate file diff labresults@master:/2024/ --json
    """,
)
@click.argument("before", type=REF_OPTIONAL_PATH)
@click.argument("after", type=REF_OPTIONAL_PATH, required=False)
@click.option("--metadata", is_flag=True, help="Also files whose bytes are equal and metadata is not.")
@json_option
@click.pass_context
def command(
    ctx: click.Context, before: Reference, after: Reference | None, metadata: bool, as_json: bool
) -> None:
    """Show the files added, removed and changed from one version to another.

    With one version, from its parent to it. A PATH limits it to that file or
    folder. The versions may lie in different repos.
    """
    counts: Counter[str] = Counter()
    growth_bytes = alike_count = 0
    with open_store(ctx) as store:
        for difference in _differences(ctx, store, before, after):
            if not metadata and _same_bytes(difference):
                alike_count += 1
                continue
            counts[difference.kind] += 1
            growth_bytes += _size(difference.after) - _size(difference.before)
            if as_json:
                emit(_describe(difference))
            else:
                _show(difference)
    if not counts:
        note("no differences")
    else:
        sign = "-" if growth_bytes < 0 else "+"
        parts = [f"{counts[kind]:,} {kind}" for kind in _SIGNS if counts[kind]]
        note(f"{', '.join(parts)}; {sign}{human_size(abs(growth_bytes))}")
    if alike_count:
        note(f"{plural(alike_count, 'file')} with equal bytes and other metadata left out; see --metadata")


def _differences(
    ctx: click.Context, store: Store, before: Reference, after: Reference | None
) -> Iterator[Difference]:
    paths = {one.path.rstrip("/") for one in (before, after) if one is not None and one.path}
    if len(paths) > 1:
        raise click.UsageError("the two paths differ; give one", ctx)
    old = resolve_commit(store, before)
    if after is None:
        parent = store.commits.get(old.parent) if old.parent is not None else None
        found = store.differences(parent, old)
    else:
        found = store.differences(old, resolve_commit(store, after))
    path = next(iter(paths), "")
    for difference in found:
        if not path or difference.path == path or difference.path.startswith(path + "/"):
            yield difference


def _same_bytes(difference: Difference) -> bool:
    before, after = difference.before, difference.after
    return before is not None and after is not None and before.content_hash == after.content_hash


def _size(record: FileRecord | None) -> int:
    return record.size_bytes if record is not None else 0


def _show(difference: Difference) -> None:
    before, after = difference.before, difference.after
    if before is not None and after is not None:
        size = f"{human_size(before.size_bytes)} → {human_size(after.size_bytes)}"
    else:
        size = human_size(_size(before or after))
    sign = click.style(_SIGNS[difference.kind], fg=_COLOURS[difference.kind])
    click.echo(f"{sign} {printable(difference.path)}  ({size})")


def _describe(difference: Difference) -> dict[str, object]:
    return {
        "path": difference.path,
        "change": difference.kind,
        "before": _describe_record(difference.before),
        "after": _describe_record(difference.after),
    }


def _describe_record(record: FileRecord | None) -> dict[str, object] | None:
    if record is None:
        return None
    digest = record.content_hash.hex() if record.content_hash is not None else None
    return {"size": record.size_bytes, "hash": digest}
