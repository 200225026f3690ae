"""Trees of small records, and the model of one: a dictionary."""

from __future__ import annotations

from functools import cache

from blake3 import blake3
from hypothesis import strategies as st

from sidegate.pfs.files import FileRecord, encode_record
from sidegate.pfs.ids import NodeId
from sidegate.pfs.nodes import Entry
from sidegate.pfs.tree import NodeCache
from sidegate.pfs.tree_edit import Change, build


@cache
def record(version: int) -> FileRecord:
    """Return a record that differs by `version`."""
    content_hash = blake3(b"%d" % version).digest()
    return FileRecord(version, f"tag-{version}", 1, (), content_hash)


@cache
def encoded(version: int) -> bytes:
    """Return the bytes of `record(version)`."""
    return encode_record(record(version))


def tree_of(nodes: NodeCache, model: dict[str, int]) -> NodeId:
    """Return the root of a tree with the model's files."""
    return build(nodes, (Entry(path.encode(), encoded(model[path])) for path in ordered(model)))


def ordered(model: dict[str, int]) -> list[str]:
    """Return the model's paths in the order of a tree."""
    return sorted(model, key=str.encode)


def changes_of(changes: dict[str, int | None]) -> list[Change]:
    """Return changes as a tree takes them."""
    paths = sorted(changes, key=str.encode)
    return [Change(p.encode(), encoded(v) if (v := changes[p]) is not None else None) for p in paths]


paths = st.one_of(
    st.integers(0, 400).map(lambda n: f"dir{n // 20}/file{n:03}"),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=6),
)
models = st.dictionaries(paths, st.integers(0, 3), max_size=120)
edits = st.dictionaries(paths, st.none() | st.integers(0, 3), max_size=25)
