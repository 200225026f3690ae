"""Bringing connectors from a repository that lies in a folder, over HTTP."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from sidegate.errors import NotFound, Unavailable, Unsupported
from sidegate.pps.spark.connectors import Artifact, ConnectorCache, cache_root, connector_artifacts
from sidegate.pps.spark.fetching import fetch_connector
from sidegate.pps.spark.installations import Spark, find_spark, read_spark
from sidegate.pps.spark.maven import CENTRAL, choose_repository, fetch

SPARK = Spark(Path("/opt/spark"), "4.1.2", "2.13", "3.4.2")  # none of its sums is known beforehand


class Quiet(SimpleHTTPRequestHandler):
    """A server of files that prints nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "maven"
    for jar in connector_artifacts(SPARK):
        add(root, jar, jar.name.encode() * 1000)
    cloud = root / "org/apache/spark/spark-hadoop-cloud_2.13"
    cloud.mkdir(parents=True)
    versions = "".join(f"<version>{v}</version>" for v in ("4.0.9", "4.1.0", "4.1.1", "4.1.10", "4.2.0"))
    (cloud / "maven-metadata.xml").write_text(f"<metadata><versions>{versions}</versions></metadata>")
    add(root, Artifact("org.apache.spark", "spark-hadoop-cloud_2.13", "4.1.1"), b"cloud")
    return root


def add(root: Path, jar: Artifact, content: bytes) -> None:
    path = root / jar.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    Path(f"{path}.sha1").write_text(f"{hashlib.sha1(content).hexdigest()}  {jar.file_name}\n")


@pytest.fixture
def repository(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def unseen(label: str, total: int) -> Iterator[Callable[[int], None]]:
    yield lambda size: None


def test_a_connector_comes_once_and_whole(tmp_path: Path, repository: str, folder: Path) -> None:
    cache = ConnectorCache(tmp_path / "cache")
    shown: list[tuple[str, int]] = []
    moved: list[int] = []

    @contextmanager
    def show(label: str, total: int) -> Iterator[Callable[[int], None]]:
        shown.append((label, total))
        yield moved.append

    first = fetch_connector(SPARK, cache, repository, show)
    assert first.new == (
        "hadoop-aws-3.4.2.jar",
        "bundle-2.29.52.jar",
        "analyticsaccelerator-s3-1.2.1.jar",
        "spark-hadoop-cloud_2.13-4.1.1.jar",
    )
    assert shown == [("connector for Hadoop 3.4.2", sum(moved))]
    assert [jar.name for jar in cache.jars(SPARK)] == list(first.new)
    again = fetch_connector(SPARK, cache, "http://127.0.0.1:9", unseen)
    assert again.new == ()
    assert again.present == first.new
    assert not list(first.folder.glob(".*"))


def test_a_jar_that_is_not_what_its_checksum_says_is_not_kept(
    tmp_path: Path, repository: str, folder: Path
) -> None:
    cache = ConnectorCache(tmp_path / "cache")
    (folder / connector_artifacts(SPARK)[1].path).write_bytes(b"changed on the way")
    with pytest.raises(Unavailable, match="not what its checksum says"):
        fetch_connector(SPARK, cache, repository, unseen)
    assert cache.jars(SPARK) == []
    assert [path.name for path in cache.folder(SPARK).iterdir()] == ["hadoop-aws-3.4.2.jar"]


def test_a_known_sum_beats_what_the_repository_says(tmp_path: Path, repository: str, folder: Path) -> None:
    jar = Artifact("org.example", "jar", "1", "0" * 64)
    add(folder, jar, b"content")
    with pytest.raises(Unavailable, match="sha256"):
        fetch(repository, jar, tmp_path, lambda size: None)


def test_a_repository_without_sums_is_not_trusted(tmp_path: Path, repository: str, folder: Path) -> None:
    jar = Artifact("org.example", "jar", "1")
    add(folder, jar, b"content")
    (folder / f"{jar.path}.sha1").unlink()
    with pytest.raises(NotFound, match="no checksum"):
        fetch(repository, jar, tmp_path, lambda size: None)


def test_a_line_without_committers_is_said(tmp_path: Path, repository: str, folder: Path) -> None:
    (folder / "org/apache/spark/spark-hadoop-cloud_2.13/maven-metadata.xml").write_text("<metadata/>")
    fetched = fetch_connector(SPARK, ConnectorCache(tmp_path / "cache"), repository, unseen)
    assert len(fetched.notes) == 1
    assert "S3A committers" in fetched.notes[0]


def test_a_repository_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9"):
        fetch_connector(SPARK, ConnectorCache(tmp_path), "http://127.0.0.1:9", unseen)


def test_an_unknown_hadoop_is_refused() -> None:
    with pytest.raises(Unsupported, match=r"Hadoop 9\.9\.9"):
        connector_artifacts(Spark(Path("/opt/spark"), "9.9.9", "3.0", "9.9.9"))


MIRRORS = """<settings xmlns="http://maven.apache.org/SETTINGS/1.2.0"><mirrors>
<mirror><id>blocker</id><mirrorOf>*</mirrorOf><url>http://blocked.example</url><blocked>true</blocked></mirror>
<mirror><id>other</id><mirrorOf>*,!central</mirrorOf><url>http://other.example</url></mirror>
<mirror><id>near</id><mirrorOf>central, snapshots</mirrorOf><url>https://near.example/maven/</url></mirror>
</mirrors></settings>"""


def test_the_repository_is_the_one_that_is_named(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    assert choose_repository(home) == CENTRAL
    (tmp_path / ".m2").mkdir()
    (tmp_path / ".m2/settings.xml").write_text(MIRRORS)
    assert choose_repository(home) == "https://near.example/maven"
    assert choose_repository({**home, "SIDEGATE_MAVEN_MIRROR": "http://mine/"}) == "http://mine"
    (tmp_path / ".m2/settings.xml").write_text("<settings>")
    with pytest.raises(Unavailable, match="not XML"):
        choose_repository(home)


def test_the_cache_is_where_the_desktop_wants_it() -> None:
    assert cache_root({"XDG_CACHE_HOME": "/c", "HOME": "/h"}) == Path("/c/sidegate/spark")
    assert cache_root({"XDG_CACHE_HOME": "relative", "HOME": "/h"}) == Path("/h/.cache/sidegate/spark")


def test_a_spark_is_found_as_spark_finds_itself(tmp_path: Path) -> None:
    home = tmp_path / "lib/python3.12/site-packages/pyspark"
    (home / "jars").mkdir(parents=True)
    for name in ("spark-core_2.13-4.0.5.jar", "hadoop-client-api-3.4.1.jar", "hadoop-aws-3.4.1.jar"):
        (home / "jars" / name).touch()
    (tmp_path / "bin").mkdir()
    submit = tmp_path / "bin/spark-submit"
    submit.touch(mode=0o755)
    expected = Spark(home, "4.0.5", "2.13", "3.4.1", "3.4.1")
    assert find_spark({"PATH": str(submit.parent)}) == expected
    assert find_spark({"PATH": "", "SPARK_HOME": str(home)}) == expected
    with pytest.raises(NotFound, match="SPARK_HOME is not set"):
        find_spark({"PATH": str(tmp_path / "empty")})
    with pytest.raises(NotFound, match="spark-core"):
        read_spark(tmp_path)
