"""Fetches jars from a Maven repository, each verified before it has its name.

Decides which repository is asked. Reads no environment: it is handed in.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO, TypeVar
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException, ElementTree

from sidegate.errors import NotFound, Unavailable
from sidegate.pps.spark.connectors import Artifact, version_key

CENTRAL = "https://repo.maven.apache.org/maven2"
"""What Maven itself asks (maven-model-builder, super POM)."""

MIRROR_VARIABLE = "SIDEGATE_MAVEN_MIRROR"
_CENTRAL_NAMES = {"central", "*", "external:*"}
_TRIES = 3
_IDLE_SECONDS = 60
_BLOCK_BYTES = 1 << 20
_CHECKSUMS = (("sha256", 64), ("sha1", 40))

Progress = Callable[[int], None]
"""Takes the count of bytes that came; negative when a try broke off and they come again."""

Taken = TypeVar("Taken")


def choose_repository(environment: Mapping[str, str]) -> str:
    """Return the URL to ask: the variable, else the mirror of `~/.m2/settings.xml`, else Maven Central."""
    chosen = environment.get(MIRROR_VARIABLE)
    if not chosen:
        settings = Path(environment.get("HOME") or Path.home()) / ".m2" / "settings.xml"
        chosen = _mirror(settings) if settings.is_file() else None
    return (chosen or CENTRAL).rstrip("/")


def _mirror(settings: Path) -> str | None:
    try:
        root = ElementTree.parse(settings).getroot()
    except (ParseError, DefusedXmlException) as error:
        raise Unavailable(
            f"{str(settings)!r} is not XML: {error}", remedy=f"mend it, or set {MIRROR_VARIABLE}"
        ) from None
    for mirror in () if root is None else root.iterfind("./{*}mirrors/{*}mirror"):
        of = [name.strip() for name in mirror.findtext("{*}mirrorOf", "").split(",")]
        blocked = mirror.findtext("{*}blocked", "").strip() == "true"
        if _CENTRAL_NAMES.intersection(of) and "!central" not in of and not blocked:
            return mirror.findtext("{*}url", "").strip() or None
    return None


def newest_of_line(repository: str, group: str, name: str, line: str, wanted: str) -> Artifact | None:
    """Return an artifact in the version `wanted`, else in the newest before it of the same line."""
    path = f"{group.replace('.', '/')}/{name}/maven-metadata.xml"
    versions = re.findall(r"<version>([^<]+)</version>", _read(f"{repository}/{path}").decode())
    fitting = [
        version
        for version in versions
        if re.fullmatch(rf"{re.escape(line)}\.\d+", version) and version_key(version) <= version_key(wanted)
    ]
    return Artifact(group, name, max(fitting, key=version_key)) if fitting else None


def size_bytes(repository: str, artifact: Artifact) -> int:
    """Return an artifact's size, 0 when the repository does not say."""
    request = urllib.request.Request(f"{repository}/{artifact.path}", method="HEAD")
    return int(_attempt(request, lambda answer: answer.headers.get("Content-Length") or 0))


def fetch(repository: str, artifact: Artifact, folder: Path, progress: Progress) -> Path:
    """Bring a jar into a folder: whole and verified, or not at all.

    Raises NotFound, and Unavailable also when it is not what its checksum says.
    """
    url = f"{repository}/{artifact.path}"
    kind, expected = _expected_checksum(url, artifact)
    descriptor, partial = tempfile.mkstemp(prefix=f".{artifact.file_name}.", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            found = _attempt(urllib.request.Request(url), lambda answer: _copy(answer, file, kind, progress))
            file.flush()
            os.fsync(file.fileno())
        if found != expected:
            raise Unavailable(
                f"{url} is not what its checksum says: {kind} is {found}, not {expected}",
                remedy="try again; if it stays so, something changes what the repository sends",
            )
        os.chmod(partial, 0o644)
        os.replace(partial, folder / artifact.file_name)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
    return folder / artifact.file_name


def _expected_checksum(url: str, artifact: Artifact) -> tuple[str, str]:
    if artifact.sha256 is not None:
        return "sha256", artifact.sha256
    for kind, digits in _CHECKSUMS:
        try:
            text = _read(f"{url}.{kind}").decode("ascii", "replace")
        except NotFound:
            continue
        found = re.match(rf"\s*([0-9a-fA-F]{{{digits}}})\b", text)
        if found:
            return kind, found[1].lower()
    raise NotFound(
        f"the repository has no checksum for {url}", remedy=f"name another one with {MIRROR_VARIABLE}"
    )


def _copy(answer: HTTPResponse, file: BinaryIO, kind: str, progress: Progress) -> str:
    digest = hashlib.new(kind)
    file.seek(0)  # a try that broke off has written some
    file.truncate()
    done = 0
    try:
        while block := answer.read(_BLOCK_BYTES):
            digest.update(block)
            file.write(block)
            done += len(block)
            progress(len(block))
    except (OSError, HTTPException):
        progress(-done)
        raise
    return digest.hexdigest()


def _read(url: str) -> bytes:
    return _attempt(urllib.request.Request(url), lambda answer: answer.read())


def _attempt(request: urllib.request.Request, take: Callable[[HTTPResponse], Taken]) -> Taken:
    """Send a request, again when the connection fails; raises NotFound, Unavailable."""
    url = request.full_url
    for tries_left in reversed(range(_TRIES)):
        try:
            with urllib.request.urlopen(request, timeout=_IDLE_SECONDS) as answer:
                return take(answer)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                raise NotFound(f"the repository does not have {url}", url=url) from None
            if error.code < 500 or not tries_left:
                raise Unavailable(f"{url} is answered with {error.code} {error.reason}", url=url) from None
        except (OSError, HTTPException) as error:
            if not tries_left:
                reason = getattr(error, "reason", error)
                raise Unavailable(
                    f"{url} cannot be read: {reason}",
                    remedy=f"check the network, or set {MIRROR_VARIABLE} to a repository that is near",
                    url=url,
                ) from None
    raise AssertionError("the last try returns or raises")
