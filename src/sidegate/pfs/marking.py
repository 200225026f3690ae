"""What is in use: every chunk that a commit, a staging or an upload refers to.

Reads trees and records; decides nothing about what is not in use.
"""

from __future__ import annotations

from sqlalchemy import Connection, select

from sidegate.native import IndexNode
from sidegate.pfs.catalog.schema import COMMITS, PARTS, STAGED, UPLOADS
from sidegate.pfs.chunks import ChunkStore
from sidegate.pfs.extent_lists import list_nodes, load_extents
from sidegate.pfs.files import ExtentList, decode_record
from sidegate.pfs.ids import ChunkId, NodeId
from sidegate.pfs.nodes import child_id_at
from sidegate.pfs.uploads import IS_OPEN


class Marker:
    """Collects the ids of chunks in use, about 100 bytes of memory each."""

    def __init__(self, chunks: ChunkStore) -> None:
        self._chunks = chunks
        self.live: set[ChunkId] = set()
        # Apart from `live`: a file may hold the very bytes of a node, which marks no subtree.
        self._walked: set[NodeId] = set()
        self._lists: set[NodeId] = set()
        self._roots: set[NodeId] = set()

    def note(self, connection: Connection) -> None:
        """Take down all references as one transaction sees them."""
        self._roots.update(map(NodeId, connection.execute(select(COMMITS.c.root).distinct()).scalars()))
        staged = select(STAGED.c.record).where(STAGED.c.record.is_not(None))
        parts = select(PARTS.c.record).join(UPLOADS, UPLOADS.c.id == PARTS.c.upload).where(IS_OPEN)
        for records in (staged, parts):
            for data in connection.execute(records).scalars():
                self._mark_record(data)

    def walk(self) -> set[ChunkId]:
        """Follow all references; raises Corrupt when a node on the way is lost."""
        pending = list(self._roots)
        while pending:
            node_id = pending.pop()
            if node_id in self._walked:
                continue
            self._walked.add(node_id)
            self.live.add(ChunkId(node_id))
            node = IndexNode(self._chunks.get(ChunkId(node_id)))
            if node.level > 0:
                pending += [child_id_at(node, index) for index in range(len(node))]
            else:
                for value in node.values:
                    self._mark_record(value)
        for root in self._lists:
            extents = ExtentList(root, 0)
            self.live.update(list_nodes(self._chunks, extents))
            self.live.update(extent.chunk for extent in load_extents(self._chunks, extents))
        return self.live

    def _mark_record(self, data: bytes) -> None:
        extents = decode_record(data).extents
        if isinstance(extents, ExtentList):
            self._lists.add(extents.node)
        else:
            self.live.update(extent.chunk for extent in extents)
