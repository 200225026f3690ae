"""The cells: what is asked of a server, how, and why.

A literal table.  What a cell's name means to the code that renders its requests
is in `plans`; what is to be reached is in `goals`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Final, Literal

from sidegate.bench.corpus import MIB, SMALL_BYTES, Scale
from sidegate.errors import Invalid

Unit = Literal["req/s", "MB/s", "pages/s", "ms"]
Operation = Literal[
    "head",
    "get",
    "range",
    "list",
    "folders",
    "put",
    "multipart",
    "complete",
    "copy",
    "part-copy",
    "assemble",
    "open",
]
Needs = Literal["small", "large", "plain", "table", "listed", "many", "branch", "alone"]
Digest = Literal["", "sha256", "crc64nvme"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One thing that is measured.

    `size_bytes` is what one exchange moves, 0 where that is not the point.
    `digest` is what an upload is checked by.  `needs` is what must have been
    loaded.  A cell that is `part_of` another is measured along with it; one that is
    `beside` another, which it is held against, takes turns with it.
    """

    name: str
    title: str
    reason: str
    operation: Operation
    unit: Unit
    connections: int
    size_bytes: int = 0
    digest: Digest = ""
    compressible: bool = False
    needs: frozenset[Needs] = field(default_factory=frozenset)
    part_of: str | None = None
    beside: str | None = None

    def moved_bytes(self, scale: Scale) -> int:
        """Return what one exchange moves at a scale."""
        return scale.size(self.size_bytes)

    def title_at(self, scale: Scale) -> str:
        """Return the title with the sizes that a scale makes of it."""
        if scale.divisor == 1 or self.size_bytes < 8 * MIB:
            return self.title
        return f"{self.title} (1/{scale.divisor} of that)"


def _needs(*names: Needs) -> frozenset[Needs]:
    return frozenset(names)


CELLS: Final[tuple[Cell, ...]] = (
    Cell("head", "HEAD 4 KiB", "what every client asks before it reads",
         "head", "req/s", 16, needs=_needs("small")),
    Cell("get-4k", "GET 4 KiB", "many small files: the cost of a request",
         "get", "req/s", 16, SMALL_BYTES, needs=_needs("small")),
    Cell("range-64k", "GET 64 KiB range", "how Parquet readers read, at offsets of any alignment",
         "range", "req/s", 16, 64 << 10, needs=_needs("large")),
    Cell("range-1m", "GET 1 MiB range", "column chunks, at offsets of any alignment",
         "range", "MB/s", 8, MIB, needs=_needs("large")),
    Cell("get-8m", "GET 8 MiB", "objects of the size that multipart clients read at once",
         "get", "MB/s", 4, 8 * MIB, needs=_needs("plain")),
    Cell("get-64m", "GET 64 MiB", "long streams of what does not compress",
         "get", "MB/s", 2, 64 * MIB, needs=_needs("plain")),
    Cell("list-1000", "LIST 1000 of 10 000", "pages of a folder, as if a client paged through",
         "list", "pages/s", 4, needs=_needs("listed")),
    Cell("list-1000-of-1m", "LIST 1000 of 1 M", "the same of a hundred times more keys: it must not matter",
         "list", "pages/s", 4, needs=_needs("many")),
    Cell("list-folders", "LIST 100 folders", "with a delimiter, over 10 000 keys",
         "folders", "pages/s", 4, needs=_needs("listed")),
    Cell("put-4k", "PUT 4 KiB", "many small outputs: the cost of a record",
         "put", "req/s", 32, SMALL_BYTES),
    Cell("put-1m", "PUT 1 MiB", "incompressible, new each time, no digest sent",
         "put", "MB/s", 8, MIB),
    Cell("put-64m", "PUT 64 MiB", "the same, long streams",
         "put", "MB/s", 2, 64 * MIB),
    Cell("put-1m-sha256", "PUT 1 MiB, SHA-256", "with x-amz-content-sha256, as SDKs send over plain HTTP",
         "put", "MB/s", 8, MIB, "sha256", beside="put-1m"),
    Cell("put-64m-sha256", "PUT 64 MiB, SHA-256", "the same, long streams",
         "put", "MB/s", 2, 64 * MIB, "sha256", beside="put-64m"),
    Cell("put-1m-chunked", "PUT 1 MiB, aws-chunked", "framed, with a CRC64NVME trailer, as newer SDKs send",
         "put", "MB/s", 8, MIB, "crc64nvme", beside="put-1m"),
    Cell("put-64m-chunked", "PUT 64 MiB, aws-chunked", "the same, long streams",
         "put", "MB/s", 2, 64 * MIB, "crc64nvme", beside="put-64m"),
    Cell("multipart-64m", "multipart 64 MiB", "in parts of 8 MiB, with Create and Complete",
         "multipart", "MB/s", 4, 64 * MIB),
    Cell("complete-64m", "Complete of it", "joining the parts must not copy them",
         "complete", "ms", 1, part_of="multipart-64m"),
    Cell("copy-64m", "CopyObject 64 MiB", "how committers rename",
         "copy", "ms", 1, needs=_needs("plain")),
    Cell("part-copy-64m", "UploadPartCopy 64 MiB", "how large objects are renamed",
         "part-copy", "ms", 1, needs=_needs("plain")),
    Cell("complete-5g", "Complete of 5 GiB", "640 parts, copied from ranges; joining them must not copy",
         "assemble", "ms", 8, 5 << 30, needs=_needs("large", "alone")),
    Cell("copy-5g", "CopyObject 5 GiB", "a rename must not depend on the size",
         "copy", "ms", 1, part_of="complete-5g"),
    Cell("csv-put-64m", "PUT 64 MiB CSV", "text that compresses well",
         "put", "MB/s", 2, 64 * MIB, compressible=True),
    Cell("csv-get-64m", "GET 64 MiB CSV", "the same, read back",
         "get", "MB/s", 2, 64 * MIB, compressible=True, needs=_needs("table")),
    Cell("get-4k-open", "GET 4 KiB, open branch", "while two other workers write to it",
         "open", "req/s", 16, SMALL_BYTES, needs=_needs("branch")),
)  # fmt: skip

OURS_ALONE: Final[frozenset[Needs]] = frozenset({"many", "branch", "alone"})
"""What only a versioned store, prepared for it, has; `alone`: others would copy gigabytes each time."""


def choose(patterns: Sequence[str], known: Sequence[Cell] = CELLS) -> list[Cell]:
    """Return the cells that any pattern names, in the order of the table; raises Invalid."""
    chosen: set[str] = set()
    for pattern in patterns:
        found = {cell.name for cell in known if fnmatchcase(cell.name, pattern)}
        if not found:
            like = _like(pattern, known)
            remedy = f"did you mean {' or '.join(like)}?" if like else "--list-cells says which there are"
            raise Invalid(f"no cell is called {pattern!r}", remedy=remedy)
        chosen |= found
    whole = chosen | {cell.part_of for cell in known if cell.name in chosen and cell.part_of}
    parts = {cell.name for cell in known if cell.part_of in whole}
    return [cell for cell in known if cell.name in whole | parts]


def _like(name: str, known: Sequence[Cell]) -> list[str]:
    """Return the names that may have been meant: in other letters, as a title, or misspelt."""
    names = {cell.name: cell.name for cell in known} | {cell.title.lower(): cell.name for cell in known}
    meant = name.lower()
    if meant in names:
        return [names[meant]]
    found = get_close_matches(meant.replace("_", "-").replace(" ", "-"), names, n=3)
    return list(dict.fromkeys(names[one] for one in found))


def taking_turns(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Return the cells that are no part of another, those that take turns together in a list."""
    names = {cell.name for cell in cells}
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.part_of is None:
            first = cell.beside if cell.beside in names else None
            groups.setdefault(first or cell.name, []).append(cell)
    return list(groups.values())


def measured_anywhere() -> list[Cell]:
    """Return the cells that any S3 server can be asked."""
    return [cell for cell in CELLS if not (cell.needs & OURS_ALONE) and cell.name != "copy-5g"]
