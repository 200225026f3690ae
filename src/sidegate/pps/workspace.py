"""A datum's files on disk: non-S3 inputs before, the output folder after.

Lays out and collects through functions that are handed in; knows no store. A
workspace is `<root>/<input name>/…` per input and `<root>/out` unless the
output goes through S3; the process sees it as /pfs or $PFS_ROOT.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sidegate.pps.datums import Datum, Item, ItemKind
from sidegate.pps.errors import InputNotRepresentable, OutputNotCollectable

OUT = "out"
_BLOCK_BYTES = 1 << 20
_LINK_HOPS = 40
"""As many as Linux follows (path_resolution(7))."""

OpenItem = Callable[[str, Item], Iterable[tuple[str, Iterable[bytes]]]]
"""Takes an input's name and an item, yields (path, blocks) of each of its files."""

WriteFile = Callable[[str, Iterator[bytes]], None]
"""Takes a path (`/a/b`) and the blocks of a file of the output."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder that a process sees as /pfs.

    `seen_as` is what the process calls it: `/pfs`, or the folder itself.
    """

    root: Path
    seen_as: str

    def lay_out(self, datum: Datum, open_item: OpenItem, *, output: bool) -> dict[str, str]:
        """Write the inputs' files; return their paths as the process sees them.

        An S3 input gets an empty folder. Raises InputNotRepresentable for a path that cannot be a
        file here: an empty, `.` or `..` segment, or a file where another path needs a folder.
        """
        paths = {}
        self.root.mkdir(parents=True, exist_ok=True)
        for part in datum.parts:
            folder = self.root / part.input_name
            folder.mkdir()
            if part.item.kind is ItemKind.BUCKET:
                continue
            paths[part.input_name] = f"{self.seen_as}/{part.input_name}{part.item.path}".rstrip("/")
            for path, blocks in open_item(part.input_name, part.item):
                _write_input(folder, part.input_name, path, blocks)
        if output:
            (self.root / OUT).mkdir()
        return paths

    def collect(self, write: WriteFile) -> int:
        """Hand every file below `out` to `write`; return the count.

        A symbolic link is followed when it leads to a file or folder inside the workspace, inputs
        included. Raises OutputNotCollectable for any other link and for sockets, pipes, devices.
        """
        count = 0
        for path, file in _files_below(self.root / OUT, "", self, ()):
            write(path, _read_blocks(path, file))
            count += 1
        return count

    def resolve_link(self, path: str, link: Path) -> Path:
        """Return what a link in the output leads to; `path` is for messages."""
        place = link
        for _ in range(_LINK_HOPS):
            target = os.readlink(place)
            if target == self.seen_as or target.startswith(f"{self.seen_as}/"):
                place = self.root / target[len(self.seen_as) :].lstrip("/")
            else:
                place = place.parent / target
            if not place.is_symlink():
                break
        try:
            resolved = place.resolve(strict=True)
        except (OSError, RuntimeError):
            raise _not_collectable(path, "a link that leads nowhere") from None
        if not resolved.is_relative_to(self.root.resolve()):
            raise _not_collectable(path, f"a link that leads out of {self.seen_as}, to {target!r}")
        return resolved


def _write_input(folder: Path, input_name: str, path: str, blocks: Iterable[bytes]) -> None:
    segments = path.strip("/").split("/") if path.endswith("/") else path.removeprefix("/").split("/")
    if any(segment in ("", ".", "..") or "\0" in segment for segment in segments):
        raise _not_representable(input_name, path, "a segment of the path is empty, . or ..")
    place = folder.joinpath(*segments)
    try:
        if path.endswith("/"):
            place.mkdir(parents=True, exist_ok=True)
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        with open(place, "xb") as file:
            for block in blocks:
                file.write(block)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise _not_representable(input_name, path, "a file and a folder have the same path") from None
    except OSError as error:
        raise _not_representable(input_name, path, error.strerror or str(error)) from error


def _files_below(
    folder: Path, prefix: str, workspace: Workspace, above: tuple[Path, ...]
) -> Iterator[tuple[str, Path]]:
    real = folder.resolve()
    if real in above:
        raise _not_collectable(prefix or "/", "a link that leads to a folder above itself")
    for entry in sorted(os.scandir(folder), key=_sort_key):
        path, place = f"{prefix}/{entry.name}", Path(entry.path)
        if not _is_text(entry.name):
            raise _not_collectable(repr(path), "a name that is not UTF-8")
        if entry.is_symlink():
            place = workspace.resolve_link(path, place)
        if place.is_dir():
            yield from _files_below(place, path, workspace, (*above, real))
        elif stat.S_ISREG(place.lstat().st_mode):
            yield path, place
        else:
            raise _not_collectable(path, "not a file: a socket, pipe or device")


def _sort_key(entry: os.DirEntry[str]) -> str:
    """Sort folders as their files' paths will sort: `a-b` before `a/b`."""
    return f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_blocks(path: str, file: Path) -> Iterator[bytes]:
    try:
        with open(file, "rb") as stream:
            while block := stream.read(_BLOCK_BYTES):
                yield block
    except OSError as error:
        raise _not_collectable(path, error.strerror or str(error)) from error


def _not_representable(input_name: str, path: str, reason: str) -> InputNotRepresentable:
    return InputNotRepresentable(
        f"{path!r} of the input {input_name!r} cannot be a file: {reason}",
        remedy='narrow the glob, or read the input with "s3": true',
        input=input_name,
        path=path,
    )


def _not_collectable(path: str, reason: str) -> OutputNotCollectable:
    return OutputNotCollectable(
        f"the output holds {path}, which is {reason}", remedy="write a plain file there", path=path
    )
