"""Making an extent list canonical: as if the file had been cut in one go.

Parts are cut each on its own and copies begin inside chunks, so a joined list
has seams.  Cutting starts afresh after every cut, so it is enough to cut again
from the chunk before a seam until a cut falls on the end of a whole chunk that
was itself cut by content: from there on the list is in step.
"""

from __future__ import annotations

from sidegate.pfs.chunks import ChunkStore
from sidegate.pfs.cutting import ChunkCutter
from sidegate.pfs.extents import Extent, is_canonical


def canonical_extents(chunks: ChunkStore, extents: tuple[Extent, ...]) -> tuple[Extent, ...]:
    """Return the list that cutting the same bytes in one go would give.

    Reads a few chunks around each seam; returns `extents` itself when it has none.
    """
    if is_canonical(extents):
        return extents
    result: list[Extent] = []
    index = 0
    while index < len(extents):
        extent = extents[index]
        if _in_step(extent, last=index == len(extents) - 1):
            result.append(extent)
            index += 1
        else:
            index = _cut_again(chunks, extents, index, result)
    return tuple(result)


def _in_step(extent: Extent, *, last: bool) -> bool:
    """Whether a chunk that starts at a cut also ends at one."""
    return extent.whole and (last or not extent.tail)


def _cut_again(chunks: ChunkStore, extents: tuple[Extent, ...], index: int, result: list[Extent]) -> int:
    """Cut from `index` on until in step; return the index to go on from."""
    cutter = ChunkCutter(chunks)
    while index < len(extents):
        extent = extents[index]
        plain = memoryview(chunks.load(extent.chunk, chunks.locate((extent.chunk,))[extent.chunk]))
        cutter.write(plain[extent.offset : extent.offset + extent.length])
        index += 1
        if cutter.at_cut:
            break
    result.extend(cutter.finish())
    return index
