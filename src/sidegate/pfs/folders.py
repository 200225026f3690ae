"""Folders: a store's flat paths seen as a hierarchy.

The store keeps files only; a folder is there as long as a file lies below it.
A path can be a file and a folder at once, because S3 allows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sidegate.pfs.files import FileRecord, decode_size
from sidegate.pfs.ids import NodeId
from sidegate.pfs.nodes import child_at
from sidegate.pfs.tree import NodeCache
from sidegate.pfs.views import FileView

_AFTER_SLASH = "0"
"""The character that follows `/`, so that a seek lands past a whole folder."""


@dataclass(frozen=True, slots=True)
class FolderEntry:
    """A file, with its record, or a folder, without one."""

    path: str
    record: FileRecord | None


def folder_prefix(folder: str) -> str:
    """Return what every path in `folder` starts with; the root is ``""``."""
    return folder.rstrip("/") + "/" if folder.rstrip("/") else ""


def files_below(view: FileView, folder: str) -> Iterator[tuple[str, FileRecord]]:
    """Yield (path, record) of every file in `folder` and below, in order."""
    prefix = folder_prefix(folder)
    for path, record in view.files(prefix):
        if not path.startswith(prefix):
            return
        yield path, record


def is_folder(view: FileView, folder: str) -> bool:
    """Whether a file lies below `folder`; the root always is one."""
    return not folder_prefix(folder) or next(files_below(view, folder), None) is not None


def list_folder(view: FileView, folder: str) -> Iterator[FolderEntry]:
    """Yield the files and folders directly in `folder`, in order.

    Costs one seek per folder listed, however many files that holds.
    """
    prefix = folder_prefix(folder)
    start: str | None = prefix
    while start is not None:
        files, start = view.files(start), None
        for path, record in files:
            if not path.startswith(prefix):
                return
            name, slash, _ = path[len(prefix) :].partition("/")
            if slash:
                yield FolderEntry(prefix + name, None)
                start = prefix + name + _AFTER_SLASH
                break
            yield FolderEntry(path, record)


def folder_totals(cache: NodeCache, root: NodeId, folder: str) -> tuple[int, int]:
    """Return (file count, bytes) below `folder`, reading only the tree's two edges."""
    prefix = folder_prefix(folder)
    end = (prefix[:-1] + _AFTER_SLASH).encode() if prefix else None
    return _range_totals(cache, root, prefix.encode(), end)


def _range_totals(cache: NodeCache, node_id: NodeId, start: bytes, end: bytes | None) -> tuple[int, int]:
    node = cache.get(node_id)
    first = node.find(start)
    last = node.find(end) if end is not None else len(node)
    if node.level == 0:
        sizes = [decode_size(value) for value in node.values[first:last]]
        return len(sizes), sum(sizes)
    file_count = size_bytes = 0
    # A child holds the keys up to its own; so the first may begin too early, the one at `last` end too late.
    for index in range(first, min(last + 1, len(node))):
        child = child_at(node, index)
        count, size = child.file_count, child.size_bytes
        if index in (first, last):
            count, size = _range_totals(cache, child.node, start, end)
        file_count, size_bytes = file_count + count, size_bytes + size
    return file_count, size_bytes
