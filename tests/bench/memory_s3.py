"""A small S3 server in memory, which can be told to misbehave."""

from __future__ import annotations

import itertools
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

LATE_SECONDS = 5.0
ERROR = "<Error><Code>{}</Code><Message>as told</Message></Error>"


def is_wrong_by_some(key: str) -> bool:
    """Whether an object is one of those that "some wrong bytes" is about: a third of all."""
    return sum(key.encode()) % 3 == 0


class MemoryS3(ThreadingHTTPServer):
    """Buckets and objects; `faults` says how it misbehaves."""

    daemon_threads = True

    def __init__(self, *faults: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.faults = frozenset(faults)
        self.buckets: dict[str, dict[str, bytes]] = {}
        self.uploads: dict[str, str] = {}
        self.lock = threading.Lock()
        self.serials = itertools.count()
        self.requests: list[str] = []
        self.versions: dict[str, set[tuple[str, str]]] = {}
        """Of buckets that keep them, all that was ever put or deleted."""
        self.slow = threading.Event()
        """Set once a request arrived that is answered late (`slow …`)."""
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def close(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is none of ours."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: MemoryS3

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def handle_all(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        parts = urlsplit(self.path)
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        if f"slow {self.command} {'object' if key else 'bucket'}" in self.server.faults:
            self.server.slow.set()
            time.sleep(LATE_SECONDS)
        with self.server.lock:
            self.server.requests.append(f"{self.command} {parts.path}")
            status, answer = (
                self._object(bucket, key, query, body) if key else self._bucket(bucket, query, body)
            )
        self._send(status, answer)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = handle_all

    def _send(self, status: int, answer: bytes) -> None:
        self.send_response(status)
        self.send_header("ETag", '"0"')
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    def _bucket(self, name: str, query: dict[str, str], body: bytes) -> tuple[int, bytes]:
        server = self.server
        if self.command == "PUT":
            if "no buckets" in server.faults:
                return 403, ERROR.format("AccessDenied").encode()
            server.buckets.setdefault(name, {})
            return 200, b""
        if "refuses names" in server.faults:
            return 400, ERROR.format("InvalidBucketName").encode()
        if name not in server.buckets:
            return 404, ERROR.format("NoSuchBucket").encode()
        if self.command == "DELETE":
            if server.buckets[name] or server.versions.get(name) or "keeps buckets" in server.faults:
                return 409, ERROR.format("BucketNotEmpty").encode()
            del server.buckets[name]
            return 204, b""
        if self.command == "POST":
            if "deletes one by one" in server.faults:
                return 501, ERROR.format("NotImplemented").encode()
            for element in ElementTree.fromstring(body).iter("Object"):
                if "keeps objects" in server.faults:
                    break
                self._remove(name, element.findtext("Key", ""), element.findtext("VersionId"))
            return 200, b"<DeleteResult/>"
        if "versioning" in query:
            status = "<Status>Enabled</Status>" if name in server.versions else ""
            return 200, f"<VersioningConfiguration>{status}</VersioningConfiguration>".encode()
        if "versions" in query:
            return 200, self._versions(name, query).encode()
        if "uploads" in query and "no listing of uploads" in server.faults:
            return 501, ERROR.format("NotImplemented").encode()
        return 200, self._listing(server.buckets[name], query).encode()

    def _remove(self, bucket: str, key: str, version: str | None) -> None:
        versions = self.server.versions.get(bucket)
        if version is None:
            self.server.buckets[bucket].pop(key, None)
            if versions is not None:
                versions.add((key, f"marker-{next(self.server.serials)}"))
        elif versions is not None:
            versions.discard((key, version))

    def _versions(self, bucket: str, query: dict[str, str]) -> str:
        """Pages of two: what is asked for comes after the markers."""
        after = (query.get("key-marker", ""), query.get("version-id-marker", ""))
        found = sorted(
            one
            for one in self.server.versions[bucket]
            if one[0].startswith(query.get("prefix", "")) and one > after
        )
        lines = ""
        for key, version in found[:2]:
            kind = "DeleteMarker" if version.startswith("marker") else "Version"
            lines += f"<{kind}><Key>{escape(key)}</Key><VersionId>{version}</VersionId></{kind}>"
        if len(found) > 2:
            key, version = found[1]
            lines += f"<NextKeyMarker>{escape(key)}</NextKeyMarker>"
            lines += f"<NextVersionIdMarker>{version}</NextVersionIdMarker>"
        return f"<ListVersionsResult>{lines}</ListVersionsResult>"

    def _listing(self, objects: dict[str, bytes], query: dict[str, str]) -> str:
        if "uploads" in query:
            found = "".join(
                f"<Upload><Key>{escape(key)}</Key><UploadId>{upload}</UploadId></Upload>"
                for upload, key in self.server.uploads.items()
            )
            return f"<ListMultipartUploadsResult>{found}</ListMultipartUploadsResult>"
        prefix, after = (
            "" if "ignores prefixes" in self.server.faults else query.get("prefix", ""),
            query.get("continuation-token") or query.get("start-after", ""),
        )
        keys = sorted(key for key in objects if key.startswith(prefix) and key > after)
        page = keys[: int(query.get("max-keys", 1000))]
        items = "".join(f"<Contents><Key>{escape(key)}</Key></Contents>" for key in page)
        token = (
            f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>"
            if len(page) < len(keys)
            else ""
        )
        return f"<ListBucketResult>{items}{token}</ListBucketResult>"

    def _object(self, bucket: str, key: str, query: dict[str, str], body: bytes) -> tuple[int, bytes]:
        server = self.server
        objects = server.buckets.get(bucket)
        if objects is None:
            return 404, ERROR.format("NoSuchBucket").encode()
        if "uploads" in query:
            upload = f"upload-{next(server.serials)}"
            server.uploads[upload] = key
            return 200, f"<R><UploadId>{upload}</UploadId></R>".encode()
        if "uploadId" in query:
            if self.command == "DELETE":
                server.uploads.pop(query["uploadId"], None)
                return 204, b""
            if "no completion" in server.faults and self.command == "POST":
                return 200, ERROR.format("InternalError").encode()
            return 200, b"<R><ETag>0</ETag></R>"
        if self.command == "PUT":
            if "read-only" in server.faults:
                return 405, ERROR.format("MethodNotAllowed").encode()
            source = self.headers.get("x-amz-copy-source")
            if source is not None and "no copies" in server.faults:
                return 501, ERROR.format("NotImplemented").encode()
            if source is not None:
                from_bucket, _, from_key = source.lstrip("/").partition("/")
                objects[key] = server.buckets[from_bucket][from_key]
                return 200, b"<R><ETag>0</ETag></R>"
            if "busy with writes" in server.faults and next(server.serials) % 20 == 19:
                return 503, ERROR.format("SlowDown").encode()
            if "too busy for pages" in server.faults and "group" in key:
                return 503, ERROR.format("SlowDown").encode()
            if "stale" not in server.faults or key not in objects:
                objects[key] = body
            if bucket in server.versions:
                server.versions[bucket].add((key, f"version-{next(server.serials)}"))
            return 200, b""
        if self.command == "DELETE":
            self._remove(bucket, key, query.get("versionId"))
            return 204, b""
        return self._read(objects, key)

    def _read(self, objects: dict[str, bytes], key: str) -> tuple[int, bytes]:
        faults = self.server.faults
        if "write-only" in faults:
            return 403, ERROR.format("AccessDenied").encode()
        if key not in objects:
            return 404, ERROR.format("NoSuchKey").encode()
        body = objects[key]
        if "wrong bytes" in faults and key.startswith("small/"):
            body = b"?" + body[1:]
        if "some wrong bytes" in faults and is_wrong_by_some(key):
            body = b"?" + body[1:]
        if "wrong large bytes" in faults and key.startswith("plain"):
            body = b"?" + body[1:]
        if "busy at first" in faults and self.command == "HEAD" and next(self.server.serials) < 3:
            return 503, ERROR.format("SlowDown").encode()
        if "sometimes busy" in faults and next(self.server.serials) % 5 == 4:
            return 503, ERROR.format("SlowDown").encode()
        return 200, body
