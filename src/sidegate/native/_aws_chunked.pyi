from typing import final

from typing_extensions import Buffer

@final
class AwsChunkedDecoder:
    """Takes the aws-chunked framing off one body, wherever it is split.

    `signed` demands a chunk-signature in every chunk header, unread; without
    it any extension passes.  `trailers` admits trailers after the last chunk,
    without demanding them.  After a FramingError each call raises it again.
    A decoder belongs to one thread at a time.
    """

    def __init__(self, *, signed: bool, trailers: bool) -> None: ...
    @property
    def finished(self) -> bool:
        """Whether the body is complete, so that one more byte is an error.

        It turns true with the last CRLF, or by `finish` where a client left
        that out.
        """

    @property
    def trailers(self) -> list[tuple[str, str]]:
        """Names in lower case and values, as they came, in a new list.

        Includes `x-amz-trailer-signature`.
        """

    @property
    def decoded_bytes(self) -> int:
        """Bytes of payload found so far."""

    def feed(self, data: Buffer) -> bytes:
        """Return the payload in `data`, joined into one new object.

        Raises `sidegate.native.framing.FramingError`; payload of the same
        block that preceded the fault is lost.  Raises TypeError when `data` is
        no buffer, BufferError when it is not contiguous.
        """

    def strip(self, block: Buffer) -> tuple[int, int]:
        """Join the payload in `block` in place; return where it begins and ends.

        The longest piece of it, the first of such, stays where it is and the
        others are moved next to it: a payload in one piece is not moved at
        all.  As `feed` otherwise; what surrounds the payload in the block is
        unspecified, and so is all of it after a FramingError.  Raises
        BufferError also when the block is read-only.
        """

    def finish(self) -> None:
        """Declare that the body has ended; nothing happens a second time.

        The body may end after the line of the last chunk or of any trailer:
        some clients leave out the last CRLF.  Anywhere else it raises
        FramingError of kind `truncated`.
        """
