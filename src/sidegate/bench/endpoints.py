"""Naming a server: `http://host:port`, or `label=http://host:port`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from sidegate.errors import Invalid, Unsupported

_LABELLED = re.compile(r"([\w.+ -]{1,40})=(.*)")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server under a name."""

    label: str
    host: str
    port: int

    @property
    def url(self) -> str:
        """What an SDK would be given."""
        return f"http://{self.authority}"

    @property
    def authority(self) -> str:
        """The value of a Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 80 else f"{host}:{self.port}"


def parse_endpoint(text: str) -> Endpoint:
    """Return the endpoint that a user named; raises Invalid, Unsupported for https."""
    labelled = _LABELLED.fullmatch(text)
    label, url = labelled.groups() if labelled else (None, text)
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme == "https":
        raise Unsupported(
            f"{text!r}: TLS is not measured, the client would be the limit",
            remedy="use the plain HTTP address of the same server",
        )
    try:
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        host, port = None, 0
    if parts.scheme == "http" and host and parts.path.strip("/"):
        raise Invalid(
            f"{text!r} is no endpoint, it has a path: {parts.path!r}",
            remedy="use http://HOST:PORT; --bucket NAME --use-existing names a bucket to work in",
        )
    if parts.scheme != "http" or not host or parts.path not in ("", "/") or parts.query or parts.username:
        raise Invalid(f"{text!r} is no endpoint", remedy="use http://HOST:PORT or LABEL=http://HOST:PORT")
    return Endpoint(label or (host if port == 80 else f"{host}:{port}"), host, port)


def parse_endpoints(texts: Sequence[str]) -> list[Endpoint]:
    """Return the endpoints in their order; raises Invalid when two have one label."""
    found = [parse_endpoint(text) for text in texts]
    labels = [endpoint.label for endpoint in found]
    for label in labels:
        if labels.count(label) > 1:
            raise Invalid(
                f"two endpoints are called {label!r}", remedy="give them labels: LABEL=http://HOST:PORT"
            )
    return found
