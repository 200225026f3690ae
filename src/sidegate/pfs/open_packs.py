"""Packs open for reading: each once in a process, and no longer than it is good for anybody.

A descriptor closes with the last reference to its pack, so that it is never taken from who is
sending from it.  But who remembers where files lie refers to packs too, for as long as it
remembers: a pack that a collection has removed would keep its room on the disk, and a store of
many packs take all descriptors that a process may have.  So those who remember are told to forget.
"""

from __future__ import annotations

import errno
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from weakref import WeakSet, WeakValueDictionary

from sidegate.descriptors import packs_that_fit
from sidegate.pfs.compression import RAW
from sidegate.pfs.disk import explained_disk_errors
from sidegate.pfs.pack_files import pack_path
from sidegate.pfs.packs import PackFile

OPEN_PACKS = 128
"""Kept open for the next look-up, whoever remembers them."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where a chunk's payload lies."""

    pack: PackFile
    offset: int
    stored_bytes: int
    plain_bytes: int
    encoding: int

    @property
    def raw(self) -> bool:
        """Whether the payload is the plain bytes."""
        return self.encoding == RAW


class Rememberer(Protocol):
    """Who refers to packs without using them."""

    def clear(self) -> None:
        """Forget all; called in any thread."""
        ...


class OpenPacks:
    """The packs of one store that this process reads; safe to use from several threads."""

    def __init__(self, directory: Path) -> None:
        """`directory` is the store's folder of packs."""
        self._directory = directory
        self._lock = threading.Lock()
        self._recent: OrderedDict[str, PackFile] = OrderedDict()
        self._open: WeakValueDictionary[str, PackFile] = WeakValueDictionary()
        self._rememberers: WeakSet[Rememberer] = WeakSet()
        self._opened = 0

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    def add_rememberer(self, rememberer: Rememberer) -> None:
        """Have somebody told to forget for as long as there is such a one; it must be hashable."""
        self._rememberers.add(rememberer)

    def get(self, name: str) -> PackFile:
        """Return a pack, opened if need be; raises PackMissing, Unavailable without a descriptor."""
        with self._lock:
            pack = self._recent.get(name)
            if pack is not None:
                self._recent.move_to_end(name)
                return pack
            pack = self._open.get(name)
            if pack is None:
                if self._is_crowded():
                    self._forget()
                pack = self._open[name] = self._open_file(pack_path(self._directory, name))
                self._opened += 1
            self._recent[name] = pack
            if len(self._recent) > OPEN_PACKS:
                self._recent.popitem(last=False)
            return pack

    def close(self, name: str) -> None:
        """Let go of a pack that is about to be removed."""
        with self._lock:
            self._recent.pop(name, None)
            self._open.pop(name, None)

    def drop_removed(self) -> int:
        """Have packs closed whose files are gone, as soon as nobody reads them; return how many are."""
        with self._lock:
            removed = [name for name, pack in tuple(self._open.items()) if pack.is_removed]
            for name in removed:
                del self._open[name]
            if removed:
                self._forget()
            return len(removed)

    def clear(self) -> None:
        """Let go of all."""
        with self._lock:
            self._recent.clear()

    def _open_file(self, path: Path) -> PackFile:
        try:
            return PackFile.open(path)
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
        # Connections have them all: those that nobody reads from can be had.
        self._forget()
        with explained_disk_errors():
            return PackFile.open(path)

    def _is_crowded(self) -> bool:
        """Whether too many are open, and enough were opened since for it to help that all is forgotten."""
        limit = packs_that_fit()
        return len(self._open) >= limit and self._opened * 2 > limit

    def _forget(self) -> None:
        """Keep open what is read at this moment, and nothing else."""
        self._opened = 0
        self._recent.clear()
        for rememberer in tuple(self._rememberers):
            rememberer.clear()
