"""Checking index trees and file records against the chunks that are there.

Each shared subtree is checked once; what is lost in it is remembered, so that
every commit that refers to it is named.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, NamedTuple

from sidegate.errors import Corrupt
from sidegate.native import IndexNode
from sidegate.pfs.chunks import ChunkStore
from sidegate.pfs.extent_lists import list_nodes, load_extents
from sidegate.pfs.extents import Extent, content_hash, is_canonical, total_bytes
from sidegate.pfs.files import ExtentList, FileRecord, decode_record
from sidegate.pfs.ids import ChunkId, NodeId
from sidegate.pfs.nodes import child_at


class Loss(NamedTuple):
    """A chunk that cannot be had or a node or record that is wrong, and where in the commit."""

    kind: Literal["chunk", "tree", "record"]
    subject: str
    message: str
    place: str


@dataclass(frozen=True, slots=True)
class Subtree:
    """What was found below one node."""

    level: int
    first: bytes
    last: bytes
    file_count: int
    size_bytes: int
    losses: tuple[Loss, ...]


class TreeCheck:
    """Checks trees of one store; `sizes` has the chunks there are, `lost` those to be mistrusted."""

    def __init__(self, chunks: ChunkStore, sizes: dict[ChunkId, int], lost: dict[ChunkId, str]) -> None:
        self._chunks = chunks
        self._sizes = sizes
        self._lost = lost
        self._seen: dict[NodeId, Subtree] = {}

    def check(self, root: NodeId) -> Subtree:
        """Check everything below a node."""
        known = self._seen.get(root)
        if known is None:
            known = self._seen[root] = self._check_node(root)
        return known

    def _check_node(self, node_id: NodeId) -> Subtree:
        fault = self._missing(ChunkId(node_id))
        node = None
        if fault is None:
            try:
                node = IndexNode(self._chunks.get(ChunkId(node_id)))
            except Corrupt as error:
                fault = f"no readable index node: {error.message}"
        if node is None:
            return Subtree(
                0, b"", b"", 0, 0, (Loss("chunk", node_id.hex(), str(fault), " (part of its index)"),)
            )
        losses = [Loss("tree", node_id.hex(), message, "") for message in _disorder(node)]
        if node.level == 0:
            return self._check_leaf(node, losses)
        return self._check_inner(node_id, node, losses)

    def _check_leaf(self, node: IndexNode, losses: list[Loss]) -> Subtree:
        size_bytes = 0
        for key, value in zip(node.keys, node.values, strict=True):
            place = ":/" + key.decode(errors="replace")
            try:
                record = decode_record(value)
            except Corrupt as error:
                losses.append(Loss("record", place, error.message, place))
                continue
            size_bytes += record.size_bytes
            for loss in self.check_record(record, canonical=True):
                losses.append(loss._replace(place=place, subject=loss.subject or place))
        return _subtree(node, len(node), size_bytes, losses)

    def _check_inner(self, node_id: NodeId, node: IndexNode, losses: list[Loss]) -> Subtree:
        file_count = size_bytes = 0
        first = previous = b""
        for index, key in enumerate(node.keys):
            child = child_at(node, index)
            found = self.check(child.node)
            losses += found.losses
            file_count += child.file_count
            size_bytes += child.size_bytes
            if not found.losses:
                expected = (node.level - 1, key, child.file_count, child.size_bytes)
                if (found.level, found.last, found.file_count, found.size_bytes) != expected:
                    losses.append(
                        Loss("tree", node_id.hex(), "index node says another thing than its child", "")
                    )
                if index > 0 and found.first <= previous:
                    losses.append(Loss("tree", node_id.hex(), "index node has children that overlap", ""))
            first, previous = found.first if index == 0 else first, key
        return replace(_subtree(node, file_count, size_bytes, losses), first=first)

    def check_record(self, record: FileRecord, *, canonical: bool) -> list[Loss]:
        """Check that a record's chunks are there and say what it says."""
        missing = self._missing_list(record.extents)
        if missing:
            return missing
        try:
            extents = tuple(load_extents(self._chunks, record.extents))
        except Corrupt as error:
            assert isinstance(record.extents, ExtentList)  # inline extents are not read
            return [Loss("chunk", record.extents.node.hex(), f"no extent list: {error.message}", "")]
        losses = list(self._missing_chunks(extents))
        if losses:
            return losses
        fault = self._contradiction(record, extents, canonical=canonical)
        return [Loss("record", "", fault, "")] if fault is not None else []

    def _missing_list(self, extents: tuple[Extent, ...] | ExtentList) -> list[Loss]:
        if isinstance(extents, tuple):
            return []
        try:
            nodes = list(list_nodes(self._chunks, extents))
        except Corrupt as error:
            return [Loss("chunk", extents.node.hex(), f"extent list is lost: {error.message}", "")]
        return [
            Loss("chunk", node.hex(), fault, "")
            for node in nodes
            if (fault := self._missing(node)) is not None
        ]

    def _missing_chunks(self, extents: Iterable[Extent]) -> Iterable[Loss]:
        for chunk in dict.fromkeys(extent.chunk for extent in extents):
            fault = self._missing(chunk)
            if fault is not None:
                yield Loss("chunk", chunk.hex(), fault, "")

    def _missing(self, chunk: ChunkId) -> str | None:
        if chunk in self._lost:
            return self._lost[chunk]
        return None if chunk in self._sizes else "it is not in the index"

    def _contradiction(
        self, record: FileRecord, extents: tuple[Extent, ...], *, canonical: bool
    ) -> str | None:
        for extent in extents:
            if extent.chunk_bytes != self._sizes[extent.chunk]:
                return "record has another size for a chunk than the index"
            if extent.length < 1 or extent.offset + extent.length > extent.chunk_bytes:
                return "record has an extent beyond its chunk"
        if total_bytes(extents) != record.size_bytes:
            return f"record says {record.size_bytes} bytes, its extents have {total_bytes(extents)}"
        if canonical and not is_canonical(extents):
            return "record in a commit is not canonical"
        if is_canonical(extents) and record.content_hash not in (None, content_hash(extents)):
            return "record has another file hash than its extents"
        if canonical and record.content_hash is None:
            return "record in a commit has no file hash"
        return None


def _disorder(node: IndexNode) -> list[str]:
    ordered = all(left < right for left, right in pairwise(node.keys))
    return [] if ordered else ["index node has keys out of order"]


def _subtree(node: IndexNode, file_count: int, size_bytes: int, losses: list[Loss]) -> Subtree:
    first, last = (node.key(0), node.key(len(node) - 1)) if len(node) else (b"", b"")
    return Subtree(node.level, first, last, file_count, size_bytes, tuple(losses))
