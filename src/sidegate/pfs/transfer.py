"""Transfer: local files and folders into a branch, and out of a commit.

Decides where a file lands, on either side, and what is refused.  Going in,
everything is looked at before anything is read, and it is one commit; going
out, every path is checked before anything is written, and each file appears
whole or not at all.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sidegate.errors import Conflict, Corrupt, NotFound
from sidegate.pfs.branch_edit import BranchEdit
from sidegate.pfs.files import FileRecord
from sidegate.pfs.folders import files_below, folder_prefix, is_folder
from sidegate.pfs.local_files import (
    Findings,
    LocalFile,
    LocalFileRefused,
    local_file,
    reading,
    stat_source,
    walk_folder,
    writing,
)
from sidegate.pfs.paths import PathRefused, check_path
from sidegate.pfs.store import Store
from sidegate.pfs.views import FileView

_BLOCK_BYTES = 1 << 20
_FILES_PER_WRITE = 1000

Progress = Callable[[int], None]
"""Told of every so many bytes that went over."""


class PathCollision(Conflict):
    """One path would have to be two things at once."""


def ignore_progress(size_bytes: int) -> None:
    """Take no note of progress."""


# -- in ------------------------------------------------------------------


def plan_import(
    view: FileView, sources: Sequence[Path], path: str, *, leave_out: Path | None = None
) -> Findings:
    """Find the files under `sources` and the path each gets below `path`.

    `path` is a folder when it is empty or ends in `/`, when `view` has one of
    that name, or when there are several sources; otherwise one file becomes
    `path` itself.  The contents of a folder go under `path`.  Raises
    LocalFileMissing, LocalFileRefused, LocalFileFailed, PathRefused,
    PathCollision.
    """
    folder = path.rstrip("/")
    if folder:
        check_path(folder)
    into_folder = len(sources) > 1 or folder != path or is_folder(view, folder)
    findings = Findings()
    for source in sources:
        status = stat_source(source)
        if stat.S_ISDIR(status.st_mode):
            found = walk_folder(source, folder, leave_out=leave_out)
            findings.files += found.files
            findings.left_out += found.left_out
        else:
            target = folder_prefix(folder) + _base_name(source) if into_folder else folder
            findings.files.append(local_file(source, target, status))
    _refuse_collisions(view, findings.files)
    return findings


def import_files(
    store: Store, edit: BranchEdit, files: Iterable[LocalFile], progress: Progress = ignore_progress
) -> None:
    """Store the files' bytes and add them to the change.

    A file that holds the same bytes already is left as it is, with its metadata.
    """
    base = edit.base
    rows: list[tuple[str, FileRecord]] = []
    buffer = bytearray(_BLOCK_BYTES)
    for file in files:
        with reading(file.source):
            stream = open(file.source, "rb", buffering=0)  # noqa: SIM115 - closed below
        with stream:
            record = _store_stream(store, stream, file.source, buffer, progress)
        if not _is_there(base, file.path, record):
            rows.append((file.path, record))
        if len(rows) == _FILES_PER_WRITE:
            edit.put_many(rows)
            rows.clear()
    edit.put_many(rows)


def import_stream(
    store: Store, edit: BranchEdit, stream: IO[bytes], path: str, progress: Progress = ignore_progress
) -> None:
    """Store what a stream gives as the file `path`; raises PathRefused, PathCollision."""
    source = Path("-")
    base = edit.base
    _refuse_collisions(base, [LocalFile(source, check_path(path), 0)])
    record = _store_stream(store, stream, source, bytearray(_BLOCK_BYTES), progress)
    if not _is_there(base, path, record):
        edit.put_many([(path, record)])


def _is_there(view: FileView, path: str, record: FileRecord) -> bool:
    current = view.get(path)
    return current is not None and current.content_hash == record.content_hash is not None


def _store_stream(
    store: Store, stream: IO[bytes], source: Path, buffer: bytearray, progress: Progress
) -> FileRecord:
    cutter = store.cutter()
    view = memoryview(buffer)
    while True:
        with reading(source):  # what the store fails at is another matter
            size_bytes = stream.readinto(view)  # type: ignore[attr-defined]  # every binary stream has it
        if not size_bytes:
            return store.record(cutter.finish())
        cutter.write(view[:size_bytes])
        progress(size_bytes)


def _base_name(source: Path) -> str:
    # `..` and `.` have no name of their own until resolved.
    return source.name or source.resolve().name


def _refuse_collisions(view: FileView, files: Sequence[LocalFile]) -> None:
    """Raise PathCollision where a path would be two files, or a file and a folder."""
    taken: dict[str, LocalFile] = {}
    for file in files:
        other = taken.setdefault(file.path, file)
        if other is not file:
            raise PathCollision(
                f"{str(other.source)!r} and {str(file.source)!r} would both become {file.path!r}",
                remedy="put them into different folders",
                path=file.path,
            )
    folders: dict[str, bool] = {}
    for file in files:
        for folder in _folders_above(file.path):
            if folder in taken:
                raise _file_and_folder(folder)
            if folder not in folders:
                if view.get(folder) is not None:
                    raise _file_and_folder(folder)
                folders[folder] = is_folder(view, folder)
        parent = file.path.rpartition("/")[0]
        if (not parent or folders[parent]) and is_folder(view, file.path):
            raise _file_and_folder(file.path)


def _folders_above(path: str) -> Iterator[str]:
    end = path.find("/")
    while end > 0:
        yield path[:end]
        end = path.find("/", end + 1)


def _file_and_folder(path: str) -> PathCollision:
    return PathCollision(
        f"{path!r} would be a file and a folder at once",
        remedy="choose another path, or remove the one that is there with `sidegate file rm`",
        path=path,
    )


# -- out -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Exported:
    """What went out."""

    file_count: int
    size_bytes: int


def landing_place(path: str, destination: str) -> Path:
    """Return where a single file goes: `destination`, or into it if it is a folder.

    It is one when it ends in `/` or is there as a folder.  Raises LocalFileRefused.
    """
    target = Path(destination)
    if not destination.endswith("/") and not target.is_dir():
        return target
    name = path.rpartition("/")[2]
    _check_relative(path, name, None)
    return target / name


def export_file(store: Store, record: FileRecord, target: Path, progress: Progress = ignore_progress) -> None:
    """Write a file; it appears at `target`, replacing a file there, when it is whole.

    Makes the folders above it.  Raises LocalFileRefused when `target` is a folder, LocalFileFailed.
    """
    if target.is_dir() and not target.is_symlink():
        raise LocalFileRefused(
            f"{str(target)!r} is a folder", remedy="remove it or choose another place", path=str(target)
        )
    if target.exists() and not target.is_file():
        # A device or pipe is written to; a file renamed over it would take its place.
        with writing(target), open(target, "wb", buffering=0) as stream:
            write_stream(store, record, stream, progress)
        return
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.parent / f".sidegate-{secrets.token_hex(8)}"
        try:
            with open(partial, "xb", buffering=0) as stream:
                write_stream(store, record, stream, progress)
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)


def write_stream(
    store: Store, record: FileRecord, stream: IO[bytes], progress: Progress = ignore_progress
) -> None:
    """Write a file's bytes to a stream; raises Corrupt if they are not all there."""
    written = 0
    for piece in store.read(record):
        rest = memoryview(piece)
        while len(rest):
            rest = rest[stream.write(rest) :]
        written += len(piece)
        progress(len(piece))
    if written != record.size_bytes:
        raise Corrupt(f"a file of {record.size_bytes} bytes gave {written}", remedy="run `sidegate fsck`")


class FolderExport:
    """What is in a folder of a version, on its way to a local one.

    Making one checks every path and writes nothing.
    """

    def __init__(self, store: Store, view: FileView, folder: str, destination: Path) -> None:
        """Raises NotFound if the folder is not there; LocalFileRefused for a path
        that is no local path, or that lies both as file and folder.
        """
        self._store = store
        self._view = view
        self._folder = folder
        self._destination = destination
        self.totals = _check_export(view, folder)

    def write(self, progress: Progress = ignore_progress) -> None:
        """Write all of it under the destination, which is made if need be.

        Raises LocalFileFailed; LocalFileRefused where something of another kind
        is in the way, or a link that may lead out of the destination.
        """
        prefix = folder_prefix(self._folder)
        with writing(self._destination):
            self._destination.mkdir(parents=True, exist_ok=True)
        made: set[Path] = {self._destination}
        for path, record in files_below(self._view, self._folder):
            relative = path[len(prefix) :]
            target = self._destination / relative
            if _is_marker(relative, record):
                _make_folders(target, made)
            else:
                _make_folders(target.parent, made)
                export_file(self._store, record, target, progress)


def _check_export(view: FileView, folder: str) -> Exported:
    prefix = folder_prefix(folder)
    file_count = size_bytes = 0
    open_files: list[str] = []  # files whose paths begin the current one, longest last
    for path, record in files_below(view, folder):
        relative = path[len(prefix) :]
        _check_relative(path, relative, record)
        while open_files and not path.startswith(open_files[-1]):
            open_files.pop()
        parent = next((file for file in open_files if path.startswith(file + "/")), None)
        if parent is not None:
            raise LocalFileRefused(
                f"{parent!r} is a file and a folder at once, which no disk can hold",
                remedy="get the one you want by its path",
                path=path,
            )
        if not path.endswith("/"):
            open_files.append(path)
        file_count, size_bytes = file_count + 1, size_bytes + record.size_bytes
    if not file_count and prefix:
        raise NotFound(f"there is no folder {folder!r}", path=folder)
    return Exported(file_count, size_bytes)


def _check_relative(path: str, relative: str, record: FileRecord | None) -> None:
    if record is not None and _is_marker(relative, record):
        relative = relative[:-1]
        if not relative:
            return
    try:
        check_path(relative)
    except PathRefused as error:
        raise LocalFileRefused(
            f"{path!r} cannot be a local file: {error.message}",
            remedy="read it with `sidegate file cat`",
            path=path,
        ) from None


def _is_marker(relative: str, record: FileRecord) -> bool:
    """Whether this is what an S3 client puts for an empty folder, or for the exported one itself."""
    return not record.size_bytes and relative != "/" and (not relative or relative.endswith("/"))


def _make_folders(folder: Path, made: set[Path]) -> None:
    """Make `folder` and those above it, down from one that is made; refuses to follow links."""
    if folder in made:
        return
    _make_folders(folder.parent, made)
    with writing(folder):
        if folder.is_symlink():
            raise LocalFileRefused(
                f"{str(folder)!r} is a link, which may lead elsewhere",
                remedy="remove it or choose another destination",
                path=str(folder),
            )
        if folder.exists() and not folder.is_dir():
            raise LocalFileRefused(
                f"{str(folder)!r} is a file, and a folder is needed there",
                remedy="remove it or choose another destination",
                path=str(folder),
            )
        folder.mkdir(exist_ok=True)
    made.add(folder)
