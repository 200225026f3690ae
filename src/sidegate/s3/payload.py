"""The payload of an upload: framing off, digests checked, length verified.

Decides how a body is framed, by x-amz-content-sha256 and never by
Content-Encoding, and whether it is what its client says.  It does not know
where the bytes go.  Chunk signatures are not verified.

Sources: "Signature Calculations for the Authorization Header: Transferring
Payload in Multiple Chunks"; codes as measured on AWS by versitygw (#1600,
#1632, #1660, #1666, #1691).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sidegate.native import AwsChunkedDecoder, Sha256
from sidegate.native.framing import FramingError, FramingKind
from sidegate.s3.checksums import (
    ALGORITHMS,
    FULL_OBJECT,
    Algorithm,
    BytesLike,
    Hasher,
    decode_digest,
    encode_digest,
    new_md5,
)
from sidegate.s3.errors import S3Error
from sidegate.s3.headers import Headers
from sidegate.s3.objects import checksum_headers

_SHA256_HEX = re.compile(rb"[0-9a-fA-F]{64}").fullmatch
_UNSIGNED = (b"", b"UNSIGNED-PAYLOAD")
_LENGTH = re.compile(rb"\d{1,19}").fullmatch
_CHECKSUM_HEADERS = tuple((name, f"x-amz-checksum-{name}".encode()) for name in ALGORITHMS)
_CHECKSUM_HEADER_NAMES = tuple(header for _, header in _CHECKSUM_HEADERS)
_TRAILER_FAULTS = frozenset(
    (FramingKind.TRAILER, FramingKind.TRAILERS_TOO_LONG, FramingKind.UNEXPECTED_TRAILER)
)


@dataclass(frozen=True, slots=True)
class PayloadDigests:
    """What is known of a payload once all of it was read and verified.

    `checksums` are (algorithm, base64) that the client sent, as header or
    trailer: to be echoed and stored.  `computed` holds also those the gateway
    asked for.  `md5_hex` is None unless MD5 was computed.
    """

    size_bytes: int
    checksums: tuple[tuple[str, str], ...] = ()
    computed: tuple[tuple[str, str], ...] = ()
    md5_hex: str | None = None

    def echo_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """Return the checksum headers of a PutObject's answer."""
        return checksum_headers(self.checksums, FULL_OBJECT) if self.checksums else ()


class PayloadDecoder:
    """Reads one payload block by block; build it with `from_headers`.

    Feed every block of the body in order, then call `finish` once.  Nothing
    may be made visible before `finish` returned.
    """

    def __init__(
        self,
        *,
        framing: AwsChunkedDecoder | None,
        length_bytes: int | None,
        hashers: dict[str, Hasher],
        expected: dict[str, bytes],
        trailer: str | None = None,
        announced: frozenset[str] = frozenset(),
    ) -> None:
        self._framing = framing
        self._hashers = hashers
        sha256 = hashers.get("sha256")
        self.sha256 = sha256 if isinstance(sha256, Sha256) else None
        """What takes the payload of `open` as well, or None where no SHA-256 is wanted."""
        self._updates = [hasher.update for hasher in hashers.values() if hasher is not self.sha256]
        self._expected = expected
        self._trailer = trailer
        self._announced = announced
        self._decoded_bytes = 0
        self.length_bytes = length_bytes
        """Decoded length as announced, or None when nobody said."""

    @classmethod
    def from_headers(
        cls,
        headers: Headers,
        http_length_bytes: int | None,
        *,
        md5: bool = False,
        checksums: tuple[str, ...] = (),
        ignore_checksums: bool = False,
    ) -> PayloadDecoder:
        """Choose framing and digests from the request's headers.

        `http_length_bytes` is Content-Length, None under transfer-encoding
        chunked; `md5` and `checksums` name digests that the server wants
        besides.  `ignore_checksums` leaves x-amz-checksum-* headers aside, for
        CompleteMultipartUpload, where they speak of the object.  Raises
        S3Error: InvalidDigest for a malformed Content-MD5,
        InvalidRequest for a malformed checksum, MissingContentLength,
        InvalidArgument for a malformed length or x-amz-content-sha256, MalformedTrailerError.
        """
        mode = headers.get(b"x-amz-content-sha256") or b""
        streaming = mode.startswith(b"STREAMING-")
        framing, trailer = _parse_framing(mode, headers) if streaming else (None, None)
        expected = {} if ignore_checksums else _parse_expected(headers)
        announced = frozenset(expected)
        wanted = {*expected, *checksums, *((trailer,) if trailer in ALGORITHMS else ())}
        hashers = {name: ALGORITHMS[name].new() for name in wanted}
        if not streaming and mode not in _UNSIGNED:
            hashers.setdefault("sha256", Sha256())
            expected["content-sha256"] = _parse_content_sha256(mode)
        content_md5 = headers.text(b"content-md5")
        if content_md5 is not None:
            expected["md5"] = _parse_md5(content_md5)
        if md5 or content_md5 is not None:
            hashers["md5"] = new_md5()
        return cls(
            framing=framing,
            length_bytes=_decoded_length(headers) if streaming else http_length_bytes,
            hashers=hashers,
            expected=expected,
            trailer=trailer,
            announced=announced,
        )

    @property
    def digests_needed(self) -> bool:
        """Whether `feed` hashes; then large blocks are better fed in a thread."""
        return bool(self._hashers)

    @property
    def framed(self) -> bool:
        """Whether aws-chunked framing is taken off."""
        return self._framing is not None

    @property
    def decoded_bytes(self) -> int:
        """Bytes of payload found so far."""
        return self._decoded_bytes

    def feed(self, block: BytesLike) -> BytesLike:
        """Return the payload in `block`, digested; see `open`."""
        data = self.open(block)
        if self.sha256 is not None:
            self.sha256.update(data)
        return data

    def open(self, block: BytesLike) -> BytesLike:
        """Return the payload in `block`: the block itself unless framed.

        All is done but SHA-256: where `sha256` is not None, the caller updates
        it with what this returns, in order.

        Framing is taken off in place where the block can be written to: what
        this returns is then a part of it.

        Hashing of more than 2 KiB releases the GIL.  Raises S3Error:
        IncompleteBody, MalformedTrailerError; the upload is lost then.
        """
        data: BytesLike = block
        if self._framing is not None:
            try:
                if isinstance(block, memoryview) and not block.readonly:
                    start, end = self._framing.strip(block)
                    data = block[start:end]
                else:
                    data = self._framing.feed(block)
            except FramingError as error:
                raise _framing_refused(error) from error
        size_bytes = data.nbytes if isinstance(data, memoryview) else len(data)
        self._decoded_bytes += size_bytes
        if self.length_bytes is not None and self._decoded_bytes > self.length_bytes:
            raise _wrong_length(self.length_bytes, self._decoded_bytes)
        if size_bytes:
            for update in self._updates:
                update(data)
        return data

    def finish(self) -> PayloadDigests:
        """Verify length, trailers and digests after the last block.

        Raises S3Error: IncompleteBody, MalformedTrailerError, BadDigest,
        XAmzContentSHA256Mismatch.
        """
        if self._framing is not None:
            try:
                self._framing.finish()
            except FramingError as error:
                raise _framing_refused(error) from error
        if self.length_bytes is not None and self._decoded_bytes != self.length_bytes:
            raise _wrong_length(self.length_bytes, self._decoded_bytes)
        if self._framing is None and not self._hashers:
            return PayloadDigests(self._decoded_bytes)
        sent = self._announced | self._take_trailer()
        digests = {name: hasher.digest() for name, hasher in self._hashers.items()}
        for name, expected in self._expected.items():
            _verify(name, expected, digests)
        computed = tuple((name, encode_digest(digests[name])) for name in ALGORITHMS if name in digests)
        return PayloadDigests(
            size_bytes=self._decoded_bytes,
            checksums=tuple(item for item in computed if item[0] in sent),
            computed=computed,
            md5_hex=digests["md5"].hex() if "md5" in digests else None,
        )

    def _take_trailer(self) -> frozenset[str]:
        """Put the trailing checksum with what is expected; return its name."""
        framing = self._framing
        if framing is None:
            return frozenset()
        trailers = {name: value for name, value in framing.trailers if name != "x-amz-trailer-signature"}
        declared = f"x-amz-checksum-{self._trailer}" if self._trailer else None
        if set(trailers) != ({declared} if declared else set()):
            raise S3Error("MalformedTrailerError")
        algorithm = ALGORITHMS.get(self._trailer) if self._trailer else None
        if declared is None or algorithm is None:
            return frozenset()
        self._expected[algorithm.name] = _parse_checksum(algorithm, trailers[declared])
        return frozenset((algorithm.name,))


def decode_document(headers: Headers, body: BytesLike, *, ignore_checksums: bool = False) -> bytes:
    """Return the verified payload of a small body that is here in full.

    Raises S3Error as `PayloadDecoder` does.
    """
    decoder = PayloadDecoder.from_headers(headers, None, ignore_checksums=ignore_checksums)
    document = bytes(decoder.feed(body))
    decoder.finish()
    return document


def _parse_framing(mode: bytes, headers: Headers) -> tuple[AwsChunkedDecoder, str | None]:
    """Return the decoder and the algorithm of the announced trailing checksum."""
    signed = not mode.startswith(b"STREAMING-UNSIGNED-")
    has_trailers = mode.endswith(b"-TRAILER")
    declared = (headers.text(b"x-amz-trailer") or "").strip().lower()
    if not has_trailers and declared:
        raise S3Error(
            "MalformedTrailerError", "x-amz-trailer was sent without a payload mode that has trailers."
        )
    if declared and not declared.startswith("x-amz-checksum-"):
        raise S3Error("InvalidRequest", "The value specified in the x-amz-trailer header is not supported")
    trailer = declared.removeprefix("x-amz-checksum-") or None
    return AwsChunkedDecoder(signed=signed, trailers=has_trailers), trailer


def _parse_expected(headers: Headers) -> dict[str, bytes]:
    """Return the checksums sent as headers; unknown algorithms are ignored."""
    if not headers.has_any(_CHECKSUM_HEADER_NAMES):
        return {}
    expected = {}
    for name, header in _CHECKSUM_HEADERS:
        value = headers.text(header)
        if value is not None:
            expected[name] = _parse_checksum(ALGORITHMS[name], value)
    return expected


def _parse_checksum(algorithm: Algorithm, value: str) -> bytes:
    digest = decode_digest(value.strip(), algorithm.digest_bytes)
    if digest is None:
        raise S3Error("InvalidRequest", f"Value for x-amz-checksum-{algorithm.name} header is invalid.")
    return digest


def _parse_content_sha256(value: bytes) -> bytes:
    """Return the digest; a client that sent one, if a broken one, wants its body verified."""
    if not _SHA256_HEX(value):
        raise S3Error(
            "InvalidArgument",
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, begin with STREAMING-, "
            "or be a SHA-256 digest in 64 hexadecimal digits.",
            fields={"ArgumentName": "x-amz-content-sha256", "ArgumentValue": value.decode("latin-1")},
        )
    return bytes.fromhex(value.decode())


def _parse_md5(value: str) -> bytes:
    digest = decode_digest(value.strip(), 16)
    if digest is None:
        raise S3Error(
            "InvalidDigest", "The Content-MD5 you specified was invalid.", fields={"Content-MD5": value}
        )
    return digest


def _decoded_length(headers: Headers) -> int:
    value = headers.get(b"x-amz-decoded-content-length")
    if value is None:
        raise S3Error("MissingContentLength", "x-amz-decoded-content-length is missing.")
    if _LENGTH(value) is None:
        raise S3Error("InvalidArgument", "x-amz-decoded-content-length is not a length in bytes.")
    return int(value)


def _verify(name: str, expected: bytes, digests: dict[str, bytes]) -> None:
    if name == "content-sha256":
        if digests["sha256"] != expected:
            fields = {
                "ClientComputedContentSHA256": expected.hex(),
                "S3ComputedContentSHA256": digests["sha256"].hex(),
            }
            raise S3Error("XAmzContentSHA256Mismatch", fields=fields)
    elif digests[name] != expected:
        what = "Content-MD5" if name == "md5" else name.upper()
        fields = {"ExpectedDigest": encode_digest(expected), "CalculatedDigest": encode_digest(digests[name])}
        raise S3Error("BadDigest", f"The {what} you specified did not match what we received.", fields=fields)


def _framing_refused(error: FramingError) -> S3Error:
    code = "MalformedTrailerError" if error.kind in _TRAILER_FAULTS else "IncompleteBody"
    return S3Error(code, error.message)


def _wrong_length(expected_bytes: int, found_bytes: int) -> S3Error:
    fields = {"NumberBytesExpected": str(expected_bytes), "NumberBytesProvided": str(found_bytes)}
    return S3Error("IncompleteBody", fields=fields)
