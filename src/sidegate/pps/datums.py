"""Which datums a job has: the product of what its inputs' globs match.

Works on an iterator of a commit's files, in order of path and with hashes;
knows no store.  A path here begins with a slash and ends without one.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from blake3 import blake3

from sidegate.pps.globs import Glob

ROOT = "/"
_SEPARATOR = b"\0"


class ItemKind(enum.Enum):
    """What an input contributes to a datum."""

    FILE = "file"
    FOLDER = "folder"
    BUCKET = "bucket"


@dataclass(frozen=True, slots=True)
class Item:
    """One match of a glob; `content` is a hash over all the files in it."""

    path: str
    kind: ItemKind
    content: bytes


@dataclass(frozen=True, slots=True)
class DatumPart:
    """What one input contributes to a datum."""

    input_name: str
    item: Item


@dataclass(frozen=True, slots=True)
class Datum:
    """One run of the process: a part per input, in the order of the spec."""

    id: str
    parts: tuple[DatumPart, ...]


def bucket_item(root: bytes) -> Item:
    """Return the one item of an S3 input; `root` identifies its content."""
    return Item(ROOT, ItemKind.BUCKET, root)


def match_files(glob: Glob, files: Iterable[tuple[str, bytes]]) -> Iterator[Item]:
    """Yield the files and folders that a glob names, folders when they end.

    `files` yields (path, hash) in ascending order of path; a path begins with a slash, and one that
    ends in a slash stands for a folder alone. The root is there even when there are no files.
    """
    open_folders = [_Folder(ROOT, glob)]
    for path, content in files:
        while not path.startswith(open_folders[-1].prefix):
            yield from open_folders.pop().close()
        start = len(open_folders[-1].prefix)
        while (end := path.find("/", start)) >= 0:
            open_folders.append(_Folder(path[:end], glob))
            start = end + 1
        for folder in open_folders:
            folder.add(path, content)
        if start < len(path) and glob.matches(path):
            yield Item(path, ItemKind.FILE, content)
    while open_folders:
        yield from open_folders.pop().close()


class _Folder:
    """A folder whose files are passing by; hashes them if it will be a match."""

    __slots__ = ("hasher", "path", "prefix")

    def __init__(self, path: str, glob: Glob) -> None:
        self.path = path
        self.prefix = ROOT if path == ROOT else f"{path}/"
        self.hasher = blake3() if glob.matches(path) else None

    def add(self, path: str, content: bytes) -> None:
        if self.hasher is not None:
            self.hasher.update(path[len(self.prefix) :].encode() + _SEPARATOR + content)

    def close(self) -> Iterator[Item]:
        if self.hasher is not None:
            yield Item(self.path, ItemKind.FOLDER, self.hasher.digest())


def cross_items(inputs: Sequence[tuple[str, Sequence[Item]]]) -> Iterator[Datum]:
    """Yield every combination of one item per input, the last one fastest.

    No input, or one without items, gives no datum.
    """
    if not inputs:
        return
    names = [name for name, _ in inputs]
    for items in itertools.product(*(items for _, items in inputs)):
        parts = tuple(DatumPart(name, item) for name, item in zip(names, items, strict=True))
        yield Datum(datum_id(parts), parts)


def datum_id(parts: Sequence[DatumPart]) -> str:
    """Return the BLAKE3 (64 hex) over names, paths and content hashes.

    The same parts with the same content have the same id in every job.
    """
    hasher = blake3()
    for part in parts:
        for field in (part.input_name.encode(), part.item.path.encode(), part.item.content):
            hasher.update(len(field).to_bytes(8, "little") + field)
    return hasher.hexdigest()
