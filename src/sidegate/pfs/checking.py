"""Checking a store: catalog, trees, chunks, packs; and saying who lost what.

Follows every reference from the catalog down and every index row into its
pack.  Reports what is wrong as data.  Repairs one thing only: the chunk index,
which can be rebuilt from the packs; what is in no pack is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import Connection, select

from sidegate.errors import Corrupt
from sidegate.pfs.catalog.schema import BRANCHES, COMMITS, PARTS, PROVENANCE, STAGED, STAGINGS, UPLOADS
from sidegate.pfs.collection import LOCK
from sidegate.pfs.commits import Commit
from sidegate.pfs.files import FileRecord, decode_record
from sidegate.pfs.index_checking import IndexCheck
from sidegate.pfs.index_rebuilding import rebuild_index
from sidegate.pfs.recovery import recover_abandoned
from sidegate.pfs.store import Store
from sidegate.pfs.tree_checking import Loss, TreeCheck
from sidegate.pfs.uploads import IS_OPEN

Kind = Literal["catalog", "pack", "index", "chunk", "tree", "record"]
"""Where the fault lies: the last three are data that someone refers to."""

REFERRERS_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault: what is wrong with `subject`, and who refers to it.

    `referrers` are `repo@commit:/path`, `staging <id>:/path` or `upload <id>
    part <n>`, at most 100 of `referrer_count`.
    """

    kind: Kind
    subject: str
    message: str
    referrers: tuple[str, ...] = ()
    referrer_count: int = 0


@dataclass(slots=True)
class CheckReport:
    """What a check looked at and found; `repaired` is what a repair put right."""

    findings: list[Finding] = field(default_factory=list)
    repaired: list[Finding] = field(default_factory=list)
    packs: int = 0
    chunks: int = 0
    payloads: int = 0
    commits: int = 0
    files: int = 0

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong any more."""
        return not self.findings


def check(store: Store, *, quick: bool = False, repair: bool = False) -> CheckReport:
    """Check all of a store; readers and writers go on meanwhile.

    `quick` does not read the payloads of files.  `repair` rebuilds the chunk
    index from the packs when anything is wrong, and checks again.  Raises
    Conflict while a collection or another check runs.
    """
    with store.locks.holding(LOCK):
        recover_abandoned(store.chunks)
        report = _Check(store, quick).run()
        if repair and not report.clean:
            rebuild_index(store)
            before, report = report.findings, _Check(store, quick).run()
            left = {(finding.kind, finding.subject) for finding in report.findings}
            report.repaired = [found for found in before if (found.kind, found.subject) not in left]
    return report


@dataclass(frozen=True, slots=True)
class _References:
    """Everything in the catalog that refers to something, as of one moment."""

    commits: list[Commit]
    records: list[tuple[str, bytes]]


class _Check:
    def __init__(self, store: Store, quick: bool) -> None:
        self._store = store
        self._quick = quick
        self._report = CheckReport()
        self._losses: dict[tuple[Kind, str, str], list[str]] = {}

    def run(self) -> CheckReport:
        report = self._report
        # References first: rows are added before what refers to them, so the index read later has all.
        with self._store.database.read() as connection:
            references = self._check_catalog(connection)
        index = IndexCheck(self._store, quick=self._quick)
        index.run()
        report.packs, report.chunks, report.payloads = index.packs, len(index.sizes), index.payloads
        report.findings += [Finding("pack", fault.subject, fault.message) for fault in index.pack_faults]
        report.findings += [Finding("index", fault.subject, fault.message) for fault in index.row_faults]
        trees = TreeCheck(self._store.chunks, index.sizes, index.lost)
        for commit in references.commits:
            self._check_commit(trees, commit)
        for referrer, data in references.records:
            self._check_record(trees, referrer, data)
        for (kind, subject, message), referrers in self._losses.items():
            shown = tuple(referrers[:REFERRERS_SHOWN])
            report.findings.append(Finding(kind, subject, message, shown, len(referrers)))
        return report

    # -- catalog -----------------------------------------------------------

    def _check_catalog(self, connection: Connection) -> _References:
        commits = [
            Commit(*row) for row in connection.execute(select(COMMITS).order_by(COMMITS.c.finished_us))
        ]
        known = {commit.id: commit for commit in commits}
        for commit in commits:
            if commit.parent is not None and commit.parent not in known:
                self._catalog_fault(f"{commit.repo}@{commit.id}", f"its parent {commit.parent} is not there")
        for branch in connection.execute(select(BRANCHES)):
            head = known.get(branch.head)
            if branch.head is not None and (head is None or head.repo != branch.repo):
                self._catalog_fault(f"{branch.repo}@{branch.name}", f"its head {branch.head} is not there")
        for edge in connection.execute(select(PROVENANCE)):
            source = known.get(edge.input_commit)
            if edge.commit not in known or source is None or source.repo != edge.repo:
                message = f"its input {edge.name} names {edge.repo}@{edge.input_commit}, which is not there"
                self._catalog_fault(edge.commit, message)
        return _References(commits, self._loose_records(connection))

    def _loose_records(self, connection: Connection) -> list[tuple[str, bytes]]:
        records = []
        stagings = set(connection.execute(select(STAGINGS.c.id)).scalars())
        for staging, path, data in connection.execute(
            select(STAGED.c.staging, STAGED.c.path, STAGED.c.record)
        ):
            if staging not in stagings:
                self._catalog_fault(f"staging {staging}", "files are staged in it and it is not there")
            if data is not None:
                records.append((f"staging {staging}:/{path.decode(errors='replace')}", data))
        uploads = {row[0]: row[1] for row in connection.execute(select(UPLOADS.c.id, IS_OPEN))}
        for upload, number, data in connection.execute(select(PARTS)):
            if upload not in uploads:
                self._catalog_fault(f"upload {upload}", "it has parts and is not there")
            # What the parts of a finished upload refer to may be collected before they are.
            if uploads.get(upload, True):
                records.append((f"upload {upload} part {number}", data))
        return records

    def _catalog_fault(self, subject: str, message: str) -> None:
        self._report.findings.append(Finding("catalog", subject, message))

    # -- trees and records ---------------------------------------------------

    def _check_commit(self, trees: TreeCheck, commit: Commit) -> None:
        self._report.commits += 1
        name = f"{commit.repo}@{commit.id}"
        found = trees.check(commit.root)
        for loss in found.losses:
            self._lose(loss, name + loss.place)
        self._report.files += found.file_count
        totals = (found.file_count, found.size_bytes)
        if not found.losses and totals != (commit.file_count, commit.size_bytes):
            claimed = (commit.file_count, commit.size_bytes)
            self._catalog_fault(name, f"it claims {claimed} files and bytes, its tree has {totals}")

    def _check_record(self, trees: TreeCheck, referrer: str, data: bytes) -> None:
        try:
            record: FileRecord = decode_record(data)
        except Corrupt as error:
            self._report.findings.append(Finding("record", referrer, error.message, (referrer,), 1))
            return
        for loss in trees.check_record(record, canonical=False):
            self._lose(loss if loss.subject else loss._replace(subject=referrer), referrer)

    def _lose(self, loss: Loss, referrer: str) -> None:
        self._losses.setdefault((loss.kind, loss.subject, loss.message), []).append(referrer)
