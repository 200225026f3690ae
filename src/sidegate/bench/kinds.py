"""Which kind of work a cell is on a server."""

from __future__ import annotations

from sidegate.bench import plans
from sidegate.bench.assembling import AssembleWork, CopyWork, MultipartWork
from sidegate.bench.cells import Cell
from sidegate.bench.corpus import Scale
from sidegate.bench.open_branch import BesideWritersWork
from sidegate.bench.reading import BareWork, ReadWork
from sidegate.bench.target import Target
from sidegate.bench.work import Work
from sidegate.bench.writing import DigestWork, PutWork


def work_of(cell: Cell, target: Target, scale: Scale, connections: int) -> Work | None:
    """Return the work of a cell on a target, None when the target has no such."""
    if target.only is not None and cell.name not in target.only:
        return None
    if target.is_bare:
        exchanges = plans.bare_exchanges(cell, target, scale)
        if not exchanges:
            return None
        return BareWork(cell, target, scale, connections, exchanges)
    if "many" in cell.needs and not target.many:
        return None
    if "branch" in cell.needs:
        return BesideWritersWork(cell, target, scale, connections) if target.branch else None
    if "alone" in cell.needs:
        return AssembleWork(cell, target, scale, connections) if target.is_ours else None
    match cell.operation:
        case "put" if cell.digest:
            return DigestWork(cell, target, scale, connections)
        case "put":
            return PutWork(cell, target, scale, connections)
        case "multipart":
            return MultipartWork(cell, target, scale, connections)
        case "copy" | "part-copy":
            return CopyWork(cell, target, scale, connections)
        case _:
            return ReadWork(cell, target, scale, connections)
