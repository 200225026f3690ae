"""Naming a server: `http://host:port`, or `label=http://host:port`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from sidegate.errors import Invalid, Unsupported

_LABELLED = re.compile(r"([\w.+ -]{1,40})=(.*)")
_HOST = re.compile(r"[^\s/?#@]+")


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
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname or "", 80 if parts.port is None else parts.port
        host.encode("idna")  # as the resolver will: labels of 1 to 63 bytes
    except ValueError:
        raise _no_endpoint(text) from None
    if parts.scheme == "https":
        raise Unsupported(
            f"{text!r}: TLS is not measured, the client would be the limit",
            remedy="use the plain HTTP address of the same server",
        )
    if parts.scheme != "http" or not _HOST.fullmatch(host) or port == 0:
        raise _no_endpoint(text)
    if parts.path.strip("/"):
        raise Invalid(
            f"{text!r} is no endpoint, it has a path: {parts.path!r}",
            remedy="use http://HOST:PORT; --bucket NAME --use-existing names a bucket to work in",
        )
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
        raise _no_endpoint(text)
    return Endpoint(label or (host if port == 80 else f"{host}:{port}"), host, port)


def _no_endpoint(text: str) -> Invalid:
    return Invalid(
        f"{text!r} is no endpoint",
        remedy="use http://HOST:PORT or LABEL=http://HOST:PORT, "
        "with a label of up to 40 letters, digits, spaces and . _ + -",
    )


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
