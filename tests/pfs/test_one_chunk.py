"""Records that are made and encoded in one step are those of the two steps."""

from __future__ import annotations

import pytest

from pfs.samples import Clock
from sidegate.pfs.extents import Extent
from sidegate.pfs.files import Attributes, encode_empty, encode_one_chunk, encode_record
from sidegate.pfs.ids import ChunkId
from sidegate.pfs.store import Store

CHUNK = ChunkId(bytes(range(32)))


@pytest.mark.parametrize("size_bytes", [0, 1, 127, 128, 4096, 65536])
@pytest.mark.parametrize("tag", [None, "0123456789abcdef0123456789abcdef"])
@pytest.mark.parametrize("attributes", [(), (("content-type", "a/b"), ("meta:x", "é\udcff" * 99))])
def test_one_step_makes_what_two_make(
    store: Store, clock: Clock, size_bytes: int, tag: str | None, attributes: Attributes
) -> None:
    extents = (Extent(CHUNK, 0, size_bytes, size_bytes, tail=True),) if size_bytes else ()
    record = store.record(extents, attributes=attributes, tag=tag)
    if size_bytes:
        found = encode_one_chunk(CHUNK, size_bytes, record.modified_us, attributes, tag)
    else:
        found = encode_empty(record.modified_us, attributes, tag)
    assert found == (record.tag, encode_record(record))
