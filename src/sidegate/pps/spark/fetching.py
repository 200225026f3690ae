"""Brings the S3A connector for a Spark into the cache.

Decides what is wanted and in which order, so that a connector counts as there
only when it is whole; how a jar comes is decided by `maven`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from sidegate.errors import NotFound
from sidegate.pps.spark.connectors import (
    COMMITTERS_GROUP,
    Artifact,
    ConnectorCache,
    committers_name,
    connector_artifacts,
)
from sidegate.pps.spark.installations import Spark
from sidegate.pps.spark.maven import Progress, fetch, newest_of_line, size_bytes

ShowProgress = Callable[[str, int], AbstractContextManager[Progress]]
"""Takes a label and a size, yields what to tell of each piece."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came: names of jars, new ones and those that were there."""

    folder: Path
    new: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def fetch_connector(spark: Spark, cache: ConnectorCache, repository: str, show: ShowProgress) -> Fetched:
    """Fetch what the cache lacks for a Spark; raises Unsupported, NotFound, Unavailable.

    Idempotent, and two at once do no harm: each jar gets its name when it is whole.
    """
    folder = cache.folder(spark)
    folder.mkdir(parents=True, exist_ok=True)
    needed = connector_artifacts(spark)
    missing = list(cache.missing(spark))
    committers, notes = _committers(spark, cache, repository)
    wanted = [*missing, *([committers] if committers else [])]
    sizes = {jar: size_bytes(repository, jar) for jar in wanted}
    with show(f"connector for Hadoop {spark.hadoop}", sum(sizes.values())) as progress:
        for jar in wanted:
            fetch(repository, jar, folder, progress)
    cache.complete(spark)
    present = [jar.file_name for jar in needed if jar not in missing]
    found = cache.committers(spark)
    if found is not None and committers is None:
        present.append(found.name)
    return Fetched(folder, tuple(jar.file_name for jar in wanted), tuple(present), tuple(notes))


def _committers(spark: Spark, cache: ConnectorCache, repository: str) -> tuple[Artifact | None, list[str]]:
    if cache.committers(spark) is not None:
        return None, []
    name = committers_name(spark)
    try:
        artifact = newest_of_line(repository, COMMITTERS_GROUP, name, spark.line, spark.version)
    except NotFound:
        artifact = None
    if artifact is None:
        return None, [f"the repository has no {name} for Spark {spark.line}: S3A committers cannot be used"]
    return artifact, []
