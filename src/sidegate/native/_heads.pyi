from collections.abc import Sequence
from typing import Any, final

from typing_extensions import Buffer

@final
class HeadScanner:
    """Recognises plain requests in a receive buffer.

    Plain is a GET or HEAD of HTTP/1.1 in origin form, complete, in strict ASCII,
    with one Host, whose headers and query parameters leave nothing to decide:
    no header of `declined`, none of `wanted` twice, Connection only as
    keep-alive, Content-Length only as one 0, Range only as one simple range of bytes, no query parameter but
    `parameters`.  Other headers do not matter, whatever they are.

    With `writes` it is a PUT, with one Content-Length of at most 9 digits and no Range.  No
    header whose name begins with `family` may be there but those that are wanted or `ignored`;
    an ignored one does not matter.

    `buffer` is read in place and held as long as the scanner lives.  A head of
    more than `head_bytes` or `header_count` headers is not plain.  Header names
    are given in lower case and found in any.  Raises Invalid for names that
    cannot be looked for.
    """

    def __init__(
        self,
        buffer: Buffer,
        *,
        head_bytes: int,
        header_count: int,
        wanted: Sequence[bytes] = (),
        declined: Sequence[bytes] = (),
        parameters: Sequence[bytes] = (),
        writes: bool = False,
        family: bytes = b"",
        ignored: Sequence[bytes] = (),
    ) -> None: ...
    def scan(self, start: int, end: int) -> tuple[Any, ...] | None:
        """Read a head that begins at `start`, in the bytes up to `end`.

        Returns None unless all of it is there and plain, else

            (next, is_head, path, host, first, last, *values of the wanted)

        `next` is where the head ends; `path` begins with a slash and is decoded
        once, and a slash in its first segment is the end of that; `host` is raw
        and not empty.  The range is first to last, both included, -1 where not
        given: (-1, -1) is no range, (5, -1) all from the sixth byte, (-1, 5) the
        last five; of a PUT they are 0 and its Content-Length.  Values are stripped
        bytes, or None.  Raises ValueError when
        `start` to `end` is no part of the buffer.
        """
