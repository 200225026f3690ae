from collections.abc import Sequence

from sidegate.native.part_columns import NamedParts, PartColumns

def scan_completion(document: bytes) -> NamedParts | None:
    """Return what a CompleteMultipartUpload of the usual form names, None for any other.

    Usual: a declaration and a namespace as SDKs write them or none; in each Part
    one ETag, one PartNumber and, in all or in none, one checksum of the same name;
    numbers that ascend from 1 to 10 000 at most; space between elements only.
    """

class PartCollector:
    """Columns of stored parts as they grow, by number."""

    def add(self, number: int, record: bytes) -> bool:
        """Take a part, its number, above those before it, and its file record.

        False when it is damaged or not of the kind of those before; the columns are of no use then.
        """

    def columns(self) -> PartColumns:
        """Return the columns of the parts so far; they stay as they are."""

def collect_parts(rows: Sequence[tuple[int, bytes]]) -> PartColumns:
    """Return the columns of stored parts, each its number and its file record.

    Raises Corrupt for a damaged record, ValueError for a negative number.
    """
