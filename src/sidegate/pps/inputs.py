"""A job's inputs as commits: pinned once, then read by every datum.

Turns the input tree into pinned commits, their datums, and a datum's files
into blocks. A path in the store has no leading slash; a datum's path has one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from sidegate.errors import NotFound
from sidegate.pfs.commits import Commit, Provenance
from sidegate.pfs.files import FileRecord
from sidegate.pfs.store import Store
from sidegate.pps.datums import ROOT, Datum, Item, ItemKind, bucket_item, cross_items, match_files
from sidegate.pps.errors import InputNotReady, SpecError
from sidegate.pps.globs import compile_glob
from sidegate.pps.reading import join_path
from sidegate.pps.spec import PfsInput, PipelineSpec


@dataclass(frozen=True, slots=True)
class PinnedInput:
    """An input and the commit that a job reads of it."""

    given: PfsInput
    commit: Commit

    @property
    def name(self) -> str:
        """Return the name that the job knows it by."""
        return self.given.name

    def provenance(self) -> Provenance:
        """Return the edge that an output commit gets."""
        return Provenance(self.given.name, self.given.repo, self.given.branch, self.commit.id)

    def as_document(self) -> dict[str, object]:
        """Return the input as a job's record names it."""
        return {
            "name": self.given.name,
            "repo": self.given.repo,
            "branch": self.given.branch,
            "commit": self.commit.id,
            "s3": self.given.s3,
            "glob": self.given.glob,
        }


def check_repos(store: Store, spec: PipelineSpec) -> None:
    """Raise SpecError for an input whose repo does not exist."""
    for given in spec.pfs_inputs():
        try:
            store.repos.get(given.repo)
        except NotFound:
            raise SpecError(
                spec.written(join_path(given.path, "repo")),
                given.repo,
                "there is no such repo",
                remedy=f"make it with `sidegate repo create {given.repo}`, or see `sidegate repo list`",
            ) from None


def pin_inputs(store: Store, spec: PipelineSpec) -> list[PinnedInput]:
    """Return every input at its branch's head; raises InputNotReady.

    Inputs that follow one branch get one commit.
    """
    heads: dict[tuple[str, str], Commit] = {}
    pinned = []
    for given in spec.pfs_inputs():
        key = (given.repo, given.branch)
        if key not in heads:
            heads[key] = _head(store, given)
        pinned.append(PinnedInput(given, heads[key]))
    return pinned


def _head(store: Store, given: PfsInput) -> Commit:
    try:
        head = store.branches.get(given.repo, given.branch).head
    except NotFound:
        head = None
    if head is None:
        raise InputNotReady(
            f"the input {given.name!r} has no finished commit on {given.repo}@{given.branch}",
            remedy=f"put files there with `sidegate file put FILE {given.repo}@{given.branch}`",
            input=given.name,
            repo=given.repo,
            branch=given.branch,
        )
    return store.commits.get(head)


def open_writes(store: Store, pinned: Sequence[PinnedInput]) -> Iterator[str]:
    """Yield the inputs' branches that have newer writes not finished yet."""
    for repo, branch in dict.fromkeys((one.given.repo, one.given.branch) for one in pinned):
        if store.stagings.pending(repo, branch):
            yield f"{repo}@{branch}"


def list_datums(store: Store, pinned: Sequence[PinnedInput]) -> Iterator[Datum]:
    """Yield the job's datums: a cross of what the globs match."""
    items = [(one.name, list_items(store, one)) for one in pinned]
    return cross_items(items)


def list_items(store: Store, pinned: PinnedInput) -> list[Item]:
    """Return what an input's glob matches, in order of path."""
    if pinned.given.s3:
        return [bucket_item(pinned.commit.root)]
    glob = compile_glob(pinned.given.glob or ROOT)
    if glob.pattern == ROOT:
        # The whole commit: its root identifies all that is in it.
        return [Item(ROOT, ItemKind.FOLDER, pinned.commit.root)]
    prefix = glob.literal_prefix().removeprefix(ROOT)
    files = ((f"/{path}", _content(record)) for path, record in _files_from(store, pinned.commit, prefix))
    return sorted(match_files(glob, files), key=lambda item: item.path)


def _files_from(store: Store, commit: Commit, prefix: str) -> Iterator[tuple[str, FileRecord]]:
    for path, record in store.tree(commit).files(prefix):
        if not path.startswith(prefix):
            return
        yield path, record


def _content(record: FileRecord) -> bytes:
    return record.content_hash or b""


@dataclass(frozen=True, slots=True)
class ItemReader:
    """Reads the files of a datum's items; a `workspace.OpenItem`.

    `before_each` is called before each file and may raise to stop.
    """

    store: Store
    pinned: Sequence[PinnedInput]
    before_each: Callable[[], None]

    def __call__(self, input_name: str, item: Item) -> Iterator[tuple[str, Iterable[bytes]]]:
        """Yield (path, blocks) of each file of an item."""
        commit = next(one.commit for one in self.pinned if one.name == input_name)
        prefix = item.path.removeprefix(ROOT)
        if item.kind is ItemKind.FOLDER and prefix:
            prefix += "/"
        for path, record in _files_from(self.store, commit, prefix):
            if item.kind is ItemKind.FILE and path != prefix:
                return
            self.before_each()
            yield path, (bytes(block) for block in self.store.read(record))
