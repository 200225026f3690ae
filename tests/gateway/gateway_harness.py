"""Gateways on temporary stores, and a client that sends exactly what it is told.

No SDK and no `http.client` request in between: targets are bytes and nothing is
normalised, escaped or added but Host and Content-Length.
"""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import cast
from xml.etree import ElementTree

from sidegate.gateway.namespace import Namespace
from sidegate.gateway.serving import GatewayThread, Options
from sidegate.gateway.session import JobSession
from sidegate.pfs.commits import Commit
from sidegate.pfs.staging import Staging
from sidegate.pfs.store import Store

PAIRS = [("uvloop", "httptools"), ("asyncio", "h11")]
PATIENCE_SECONDS = 20.0
MIB = 1 << 20

Headers = Mapping[str, str | bytes]


class Clock:
    """A clock that stands still until told otherwise, in microseconds."""

    def __init__(self, now_us: int = 1_790_000_000_250_000) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us

    def advance(self, seconds: float) -> None:
        self.now_us += int(seconds * 1_000_000)


@dataclass
class Answer:
    """What came back; `headers` in lower case, values as text."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def xml(self) -> ElementTree.Element:
        """The body without its namespace."""
        return ElementTree.fromstring(re.sub(rb' xmlns="[^"]*"', b"", self.body))

    def texts(self, path: str) -> list[str]:
        return [element.text or "" for element in self.xml.iterfind(path)]

    def text(self, path: str) -> str:
        (found,) = self.texts(path)
        return found

    @property
    def code(self) -> str | None:
        """The error code, None for a success or a body that is no error."""
        return self.text("Code") if self.body.startswith(b"<?xml") and b"<Error>" in self.body[:60] else None

    @property
    def message(self) -> str:
        return self.text("Message")

    @property
    def etag(self) -> str:
        return self.headers["etag"]


class _Kept(io.BufferedReader):
    """A reader that outlives the answers read from it: it may hold the start of the next one."""

    def makefile(self, *_: object) -> _Kept:
        return self

    def close(self) -> None:
        """Do nothing: the socket is closed by the client."""


class Client:
    """One keep-alive connection; opened anew when the server closed it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._socket: socket.socket | None = None
        self._reader: _Kept | None = None

    def another(self) -> Client:
        """A client of the same gateway, with a connection of its own."""
        return Client(self._address)

    def ask(
        self,
        method: str,
        target: str | bytes,
        body: bytes | None = None,
        headers: Headers | None = None,
        *,
        raw_body: bytes | None = None,
    ) -> Answer:
        """Send one request; `raw_body` goes out as it is, with no length added."""
        head = self.render_head(method, target, headers, body)
        return self.exchange(head + (body or b"") + (raw_body or b""), method)

    @staticmethod
    def render_head(
        method: str, target: str | bytes, headers: Headers | None = None, body: bytes | None = None
    ) -> bytes:
        lines = [b"%s %s HTTP/1.1" % (method.encode(), _bytes(target)), b"host: 127.0.0.1"]
        lines += [b"%s: %s" % (name.encode(), _bytes(value)) for name, value in (headers or {}).items()]
        if body is not None:
            lines.append(b"content-length: %d" % len(body))
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def exchange(self, data: bytes, method: str = "GET") -> Answer:
        connection = self.connect()
        connection.sendall(data)
        return self.read(method)

    def connect(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.create_connection(self._address, PATIENCE_SECONDS)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket

    def read(self, method: str = "GET") -> Answer:
        """Read the answer to a request that was sent by hand."""
        if self._reader is None:
            self._reader = _Kept(socket.SocketIO(self.connect(), "r"))
        response = HTTPResponse(cast("socket.socket", self._reader), method=method)
        response.begin()
        body = response.read()
        headers = {name.lower(): value for name, value in response.getheaders()}
        assert len(headers) == len(response.getheaders()), "a header came twice"
        if response.will_close:
            self.close()
        response.close()
        return Answer(response.status, headers, body)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = self._reader = None

    # -- what most tests do ------------------------------------------------

    def put(self, target: str, body: bytes = b"", headers: Headers | None = None) -> Answer:
        answer = self.ask("PUT", target, body, headers)
        assert answer.status == 200, answer.body
        return answer

    def get(self, target: str, headers: Headers | None = None) -> Answer:
        return self.ask("GET", target, headers=headers)

    def head(self, target: str, headers: Headers | None = None) -> Answer:
        return self.ask("HEAD", target, headers=headers)

    def delete(self, target: str) -> Answer:
        return self.ask("DELETE", target)

    def keys(self, bucket: str, query: str = "") -> list[str]:
        """Every key of a listing, as it stands there."""
        answer = self.get(f"/{bucket}?list-type=2{query}")
        assert answer.status == 200, answer.body
        return answer.texts("Contents/Key")

    def snapshot(self, bucket: str) -> list[tuple[str, str, str]]:
        """All that a listing says of its keys: to see that nothing changed."""
        answer = self.get(f"/{bucket}?list-type=2")
        assert answer.status == 200, answer.body
        return list(
            zip(
                answer.texts("Contents/Key"),
                answer.texts("Contents/ETag"),
                answer.texts("Contents/LastModified"),
                strict=True,
            )
        )

    # -- uploads in parts --------------------------------------------------

    def create_upload(self, target: str, headers: Headers | None = None) -> str:
        answer = self.ask("POST", f"{target}?uploads", b"", headers)
        assert answer.status == 200, answer.body
        return answer.text("UploadId")

    def put_part(
        self, target: str, upload: str, number: int, body: bytes, headers: Headers | None = None
    ) -> str:
        answer = self.ask("PUT", f"{target}?partNumber={number}&uploadId={upload}", body, headers)
        assert answer.status == 200, answer.body
        return answer.etag

    def complete(
        self, target: str, upload: str, parts: Iterable[tuple[int, str]], headers: Headers | None = None
    ) -> Answer:
        return self.ask("POST", f"{target}?uploadId={upload}", complete_document(parts), headers)

    def upload(self, target: str, parts: Mapping[int, bytes]) -> Answer:
        upload = self.create_upload(target)
        stored = [(number, self.put_part(target, upload, number, parts[number])) for number in parts]
        answer = self.complete(target, upload, sorted(stored))
        assert answer.status == 200, answer.body
        return answer


class Job:
    """A sidecar: two inputs, `out`, and the attempt's staging."""

    def __init__(
        self,
        store: Store,
        inputs: Mapping[str, Commit],
        pair: tuple[str, str],
        *,
        own_reads: bool = False,
        pipeline: str = "pipe_line",
        output: bool = True,
        **options: object,
    ) -> None:
        self.store = store
        self.staging: Staging = store.stagings.begin_attempt(next(iter(inputs.values())).repo, "master")
        self.session = JobSession(
            store, inputs, self.staging if output else None, pipeline=pipeline, own_reads=own_reads
        )
        self.gateway = start(store, self.session, pair, **options)
        self.client = Client(self.gateway.address)

    def close(self) -> None:
        self.client.close()
        self.session.close()
        self.gateway.close()


def start(store: Store, namespace: Namespace, pair: tuple[str, str], **options: object) -> GatewayThread:
    return GatewayThread(
        store,
        namespace,
        Options(loop=pair[0], parser=pair[1], grace_seconds=2.0, **options),  # type: ignore[arg-type]
    )


def commit_files(store: Store, repo: str, files: Mapping[str, bytes], branch: str = "master") -> Commit:
    """Make one commit of `files`, without a gateway."""
    changes = []
    for path, content in files.items():
        cutter = store.cutter()
        cutter.write(content)
        changes.append((path, store.record(cutter.finish())))
    store.stagings.write_open(repo, branch, changes)
    return store.finish_open(repo, branch)[-1]


def noise(count: int, seed: str = "") -> bytes:
    """The same incompressible bytes for the same seed."""
    return hashlib.shake_128(f"noise {seed}".encode()).digest(count)


def csv(rows: int, seed: int = 0) -> bytes:
    """Lines that compress well."""
    return b"".join(b"%d,%d,2024-01-01,sample\n" % (row + seed, row * row % 97) for row in range(rows))


def complete_document(parts: Iterable[tuple[int, str]]) -> bytes:
    items = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in parts
    )
    return f"<CompleteMultipartUpload>{items}</CompleteMultipartUpload>".encode()


def delete_document(keys: Iterable[str], *, quiet: bool = False) -> bytes:
    items = "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)
    return f"<Delete><Quiet>{str(quiet).lower()}</Quiet>{items}</Delete>".encode()


def aws_chunked(
    payload: bytes,
    *,
    sizes: Iterable[int] = (),
    signed: bool = False,
    trailers: Iterable[bytes] = (),
) -> bytes:
    """Frame a payload in chunks of `sizes`; `trailers` are whole lines with their ends."""
    signature = b";chunk-signature=" + b"0" * 64 if signed else b""
    framed, offset = bytearray(), 0
    for size in itertools.chain(sizes, itertools.repeat(64 << 10)):
        piece = payload[offset : offset + size]
        if not piece:
            break
        framed += b"%x%s\r\n%s\r\n" % (len(piece), signature, piece)
        offset += size
    framed += b"0%s\r\n" % signature
    for line in trailers:
        framed += line
    return bytes(framed + b"\r\n")


def http_chunked(data: bytes, size: int = 1000) -> bytes:
    pieces = (data[start : start + size] for start in range(0, len(data), size))
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def md5_header(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content).digest()).decode()


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1")


INPUT_FILES = {
    "a.txt": b"hello, world\n",
    "empty": b"",
    "dir/": b"",
    "dir/b.bin": noise(30_000, "b"),
    "dir/sub/c.csv": csv(3_000),
    "tail.bin": noise(200_000, "tail"),
}
"""What the bucket `inp` of a job holds."""
