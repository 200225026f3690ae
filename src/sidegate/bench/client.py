"""A small blocking S3 client: makes buckets, loads and checks data, cleans up.

It is never measured.  Requests are rendered by the same signer as those that are.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, cast
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

from defusedxml.ElementTree import fromstring

from sidegate.bench.client_limits import raise_exhausted
from sidegate.bench.endpoints import Endpoint
from sidegate.bench.signing import Pairs, Signer
from sidegate.errors import SidegateError, Unavailable
from sidegate.http.loopback import connect_unpaced

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 60.0
"""How long nothing may come of an answer."""
ANSWER_SECONDS = 180.0
"""How long a whole answer may take: none is larger than what MOST_BYTES says."""
MOST_BYTES = 256 << 20
"""More than any answer that a run asks for: the rest of an endless one is not waited for."""
SEND_BYTES = 1 << 20
DELETED_AT_ONCE = 1000
"""API_DeleteObjects: "the request can contain a list of up to 1,000 keys"."""


Named = tuple[str, str | None]
"""An object by its key, or one version of it."""


class Refused(SidegateError):
    """A server refused what a run needs."""


class Unanswered(Unavailable):
    """A server was asked, and may do yet what it was asked for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def error(self) -> str:
        """Return code and message of an S3 error, or the status."""
        found = {local_name(element): element.text or "" for element in self.elements()}
        if "Code" in found:
            return f"{self.status} {found['Code']}: {found.get('Message', '')}".rstrip(": ")
        return str(self.status)

    def elements(self) -> Iterator[Element]:
        """Yield the elements of an XML body, none when it is no XML."""
        try:
            return iter(list(fromstring(self.body).iter()))
        except (ParseError, ValueError, LookupError):  # no XML, an entity (defusedxml), an unknown encoding
            return iter(())

    def texts(self, name: str) -> list[str]:
        """Return the texts of all elements of a name."""
        return [element.text or "" for element in self.elements() if local_name(element) == name]


def local_name(element: Element) -> str:
    """Return an element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


class Client:
    """One connection to one server."""

    def __init__(
        self, endpoint: Endpoint, signer: Signer, connect: Callable[[], list[socket.socket]] | None = None
    ) -> None:
        """`connect` opens one connection, where not any will do."""
        self._endpoint = endpoint
        self._connect = connect or self._connect_anywhere
        # Headers are in the signature that way, whatever is measured.
        self._signer = signer.in_style("header")
        self._socket: socket.socket | None = None
        self._deletes_singly = False

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ask(
        self,
        method: str,
        path: str,
        query: Pairs = (),
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        silence_seconds: float | None = None,
    ) -> Answer:
        """Return the answer to a request; raises Unavailable, Unanswered when none comes.

        `silence_seconds`: how long nothing may come, SILENCE_SECONDS where nothing is said.
        """
        fields = {**(headers or {}), **({"content-length": str(len(body))} if method in _WITH_BODY else {})}
        request = self._signer.head(method, path, query, fields) + body
        silence = SILENCE_SECONDS if silence_seconds is None else silence_seconds
        try:
            if self._socket is not None:
                # It may have been closed meanwhile; a server that is silent would be so again.
                with suppress(ConnectionError, http.client.HTTPException):
                    return self._exchange(method, request, silence)
            self._open()
            return self._exchange(method, request, silence)
        except (OSError, http.client.HTTPException) as error:
            raise self._unanswered(error) from error

    def demand(self, method: str, path: str, query: Pairs = (), body: bytes = b"", **more: str) -> Answer:
        """Return the answer to a request that must succeed; raises Refused, Unavailable."""
        headers = {name.replace("_", "-"): value for name, value in more.items()}
        answer = self.ask(method, path, query, headers, body)
        self._check(answer, f"{method} {path}")
        return answer

    def _check(self, answer: Answer, asked: str) -> None:
        # CopyObject, CompleteMultipartUpload and DeleteObjects may fail after a status of 200.
        if answer.status not in (200, 204, 206) or answer.body[:500].count(b"<Error>"):
            raise Refused(f"{self._endpoint.label} refused {asked}: {answer.error()}")

    def keys(self, bucket: str, prefix: str = "") -> Iterator[str]:
        """Yield the keys of a bucket."""
        token = ""
        while True:
            query = [("list-type", "2"), ("prefix", prefix)]
            if token:
                query.append(("continuation-token", token))
            answer = self.demand("GET", f"/{bucket}", query)
            yield from answer.texts("Key")
            before, token = token, next(iter(answer.texts("NextContinuationToken")), "")
            if not token:
                return
            if token == before:
                raise Refused(f"{self._endpoint.label} lists {bucket} from the same key again and again")

    def versions(self, bucket: str, prefix: str) -> Iterator[Named]:
        """Yield all versions and delete markers of a bucket that keeps them."""
        marker: list[tuple[str, str]] = []
        while True:
            answer = self.demand("GET", f"/{bucket}", [("versions", ""), ("prefix", prefix), *marker])
            for element in answer.elements():
                if local_name(element) in ("Version", "DeleteMarker"):
                    parts = {local_name(part): part.text or "" for part in element}
                    yield parts.get("Key", ""), parts.get("VersionId", "null")
            before = marker
            marker = [
                (name, text)
                for name, tag in (
                    ("key-marker", "NextKeyMarker"),
                    ("version-id-marker", "NextVersionIdMarker"),
                )
                for text in answer.texts(tag)[:1]
                if text
            ]
            if not marker:
                return
            if marker == before:
                raise Refused(f"{self._endpoint.label} lists {bucket} from the same key again and again")

    def keeps_versions(self, bucket: str) -> bool:
        """Whether what is deleted in a bucket stays as a version (API_GetBucketVersioning)."""
        answer = self.ask("GET", f"/{bucket}", [("versioning", "")])
        return answer.status == 200 and answer.texts("Status")[:1] in (["Enabled"], ["Suspended"])

    def clear(self, bucket: str, prefix: str) -> None:
        """Delete all objects whose keys begin so; raises Refused."""
        self._clear(bucket, prefix, lambda: [(key, None) for key in self.keys(bucket, prefix)])

    def clear_versions(self, bucket: str, prefix: str) -> None:
        """Delete all versions of all objects whose keys begin so; raises Refused."""
        self._clear(bucket, prefix, lambda: list(self.versions(bucket, prefix)))

    def _clear(self, bucket: str, prefix: str, listed: Callable[[], list[Named]]) -> None:
        before: list[Named] = []
        while found := listed():
            if found == before:
                raise Refused(
                    f"{self._endpoint.label} takes deletions in {bucket} and still lists {len(found)} objects"
                )
            for key, _ in found:
                if not key.startswith(prefix):  # it may be anybody's
                    raise Refused(
                        f"{self._endpoint.label} was asked for keys of {bucket} that begin with {prefix!r} "
                        f"and lists {key!r}: nothing is deleted"
                    )
            before = found
            for start in range(0, len(found), DELETED_AT_ONCE):
                self._delete(bucket, found[start : start + DELETED_AT_ONCE])

    def _delete(self, bucket: str, named: Sequence[Named]) -> None:
        """Delete at most DELETED_AT_ONCE objects, or versions of them; raises Refused."""
        if not self._deletes_singly:
            lines = "".join(
                f"<Object><Key>{escape(key)}</Key>"
                + (f"<VersionId>{escape(version)}</VersionId>" if version is not None else "")
                + "</Object>"
                for key, version in named
            )
            body = f"<Delete><Quiet>true</Quiet>{lines}</Delete>".encode()
            digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
            answer = self.ask("POST", f"/{bucket}", [("delete", "")], {"content-md5": digest}, body)
            self._deletes_singly = answer.status in _NOT_OFFERED
            if not self._deletes_singly:
                self._check(answer, f"POST /{bucket}?delete")
                return
        for key, version in named:
            self.demand("DELETE", f"/{bucket}/{key}", [] if version is None else [("versionId", version)])

    def begin_upload(self, bucket: str, key: str) -> str:
        """Open a multipart upload and return its id; raises Refused."""
        answer = self.demand("POST", f"/{bucket}/{key}", [("uploads", "")])
        (upload_id,) = answer.texts("UploadId") or [""]
        if not upload_id:
            raise Refused(f"{self._endpoint.label} gave no id for an upload of {key}")
        return upload_id

    def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        """End a multipart upload, if it is open still."""
        self.ask("DELETE", f"/{bucket}/{key}", [("uploadId", upload_id)])

    def open_uploads(self, bucket: str) -> list[tuple[str, str]]:
        """Return key and id of each upload that is open; raises Refused."""
        answer = self.demand("GET", f"/{bucket}", [("uploads", "")])
        uploads = [
            {local_name(part): part.text or "" for part in element}
            for element in answer.elements()
            if local_name(element) == "Upload"
        ]
        return [(one["Key"], one["UploadId"]) for one in uploads if one.keys() >= {"Key", "UploadId"}]

    def _exchange(self, method: str, request: bytes, silence_seconds: float) -> Answer:
        """Send a request and return its answer; whatever comes between ends the connection."""
        try:
            answer, closes = self._ask_once(method, request, silence_seconds)
        except BaseException:  # of an answer that was begun the rest would be taken for the next one
            self.close()
            raise
        if closes:
            self.close()
        return answer

    def _ask_once(self, method: str, request: bytes, silence_seconds: float) -> tuple[Answer, bool]:
        assert self._socket is not None
        self._socket.settimeout(silence_seconds)
        view = memoryview(request)
        for start in range(0, len(view), SEND_BYTES):
            self._socket.sendall(view[start : start + SEND_BYTES])
        # It asks a socket for nothing but what it reads from.
        patient = cast("socket.socket", _Patient(self._socket, silence_seconds))
        response = http.client.HTTPResponse(patient, method=method)
        try:
            response.begin()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, _whole_body(response)), response.will_close
        finally:
            response.close()

    def _open(self) -> None:
        try:
            (self._socket,) = self._connect()
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise_exhausted(error, self._endpoint.url)
            raise Unavailable(f"{self._where} does not answer: {error}", remedy=_REMEDY) from error

    def _connect_anywhere(self) -> list[socket.socket]:
        return [connect_unpaced((self._endpoint.host, self._endpoint.port), CONNECT_SECONDS)]

    @property
    def _where(self) -> str:
        return f"{self._endpoint.label} ({self._endpoint.url})"

    def _unanswered(self, error: Exception) -> Unanswered:
        is_other = isinstance(error, http.client.BadStatusLine | http.client.UnknownProtocol)
        is_other = is_other and not isinstance(error, ConnectionError)
        said = "what it says is no HTTP" if is_other else str(error) or type(error).__name__
        return Unanswered(f"{self._where} does not answer: {said}", remedy=_REMEDY)


_REMEDY: Final = "is the server running, and is that its address?"


class _Patient(io.RawIOBase):
    """What comes from a socket: no piece later than the silence allowed, nothing after ANSWER_SECONDS."""

    def __init__(self, connection: socket.socket, silence_seconds: float) -> None:
        self._connection = connection
        self._silence_seconds = silence_seconds
        self._deadline = time.monotonic() + ANSWER_SECONDS

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._deadline - time.monotonic()
        with suppress(TimeoutError):
            if left > 0:
                self._connection.settimeout(min(self._silence_seconds, left))
                return self._connection.recv_into(buffer)
        if left > self._silence_seconds:
            raise TimeoutError(f"nothing came for {self._silence_seconds:g} s")
        raise TimeoutError(f"an answer took more than {ANSWER_SECONDS:g} s")


def _whole_body(response: http.client.HTTPResponse) -> bytes:
    body = response.read(MOST_BYTES)
    if len(body) == MOST_BYTES:
        raise http.client.HTTPException(f"an answer has {MOST_BYTES >> 20} MiB or more")
    if response.length:  # with a size given, too little is no error there
        raise http.client.IncompleteRead(body, response.length)
    return body


_WITH_BODY = frozenset({"PUT", "POST"})
_NOT_OFFERED = frozenset({400, 405, 501})
"""What servers answer to DeleteObjects that do not have it."""
