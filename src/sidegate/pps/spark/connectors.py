"""Which jars make S3A work in a Spark, and where they are cached.

A connector must be of exactly its Spark's Hadoop version, and its SDK of the
version that this Hadoop was built with. Fetches nothing.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sidegate.errors import Unsupported
from sidegate.pps.spark.installations import Spark


@dataclass(frozen=True, slots=True)
class Artifact:
    """A jar of a Maven repository; `sha256` where we have seen it ourselves."""

    group: str
    name: str
    version: str
    sha256: str | None = None

    @property
    def file_name(self) -> str:
        """Return the jar's name."""
        return f"{self.name}-{self.version}.jar"

    @property
    def path(self) -> str:
        """Return where the jar lies in a repository."""
        return f"{self.group.replace('.', '/')}/{self.name}/{self.version}/{self.file_name}"


def _sdk1(version: str, sha256: str | None = None) -> Artifact:
    return Artifact("com.amazonaws", "aws-java-sdk-bundle", version, sha256)


def _sdk2(version: str, sha256: str | None = None) -> Artifact:
    return Artifact("software.amazon.awssdk", "bundle", version, sha256)


def _accelerator(version: str) -> Artifact:
    return Artifact("software.amazon.s3.analyticsaccelerator", "analyticsaccelerator-s3", version)


SDKS: Mapping[str, tuple[Artifact, ...]] = {
    "3.3.1": (_sdk1("1.11.901"),),
    "3.3.2": (_sdk1("1.11.1026"),),
    "3.3.4": (_sdk1("1.12.262", "873fe7cf495126619997bec21c44de5d992544aea7e632fdc77adb1a0915bae5"),),
    "3.3.6": (_sdk1("1.12.367"),),
    "3.4.0": (_sdk2("2.23.19"),),
    "3.4.1": (_sdk2("2.24.6", "890bf9f2a80488f7a8aa8277d64d13a9ea3a3cdff8607ef3b63a878d8b467b41"),),
    "3.4.2": (_sdk2("2.29.52"), _accelerator("1.2.1")),
    "3.4.3": (_sdk2("2.35.4"), _accelerator("1.3.1")),
}
"""What hadoop-aws of each Hadoop depends on, besides what a Spark has.

Source: the POMs of hadoop-project and hadoop-aws. wildfly-openssl is only for TLS.
"""

COMMITTERS_GROUP = "org.apache.spark"
COMPLETE = "complete"
"""The file that lists a connector's jars once all are there; spark-env.sh reads it."""

_CONNECTOR_SHA256 = {
    "3.3.4": "53f9ae03c681a30a50aa17524bd9790ab596b28481858e54efd989a826ed3a4a",
    "3.4.1": "01334a07e179cae2b7e251f24857f11e3759108c9d6a79dcbe362a4295227da2",
}


def connector_artifacts(spark: Spark) -> tuple[Artifact, ...]:
    """Return the jars that S3A needs beside a Spark; raises Unsupported."""
    sdk = SDKS.get(spark.hadoop)
    if sdk is None:
        raise Unsupported(
            f"the S3A connector for Hadoop {spark.hadoop} is not known here",
            remedy=f"put hadoop-aws-{spark.hadoop}.jar and the AWS SDK it names into {spark.home / 'jars'}",
            known=sorted(SDKS),
        )
    connector = Artifact("org.apache.hadoop", "hadoop-aws", spark.hadoop, _CONNECTOR_SHA256.get(spark.hadoop))
    return (connector, *sdk)


def committers_name(spark: Spark) -> str:
    """Return the artifact that binds Spark to the committers of S3A; its version is any of its line."""
    return f"spark-hadoop-cloud_{spark.scala}"


@dataclass(frozen=True, slots=True)
class ConnectorCache:
    """The jars fetched so far: `<root>/<hadoop>-<scala>/*.jar`."""

    root: Path

    def folder(self, spark: Spark) -> Path:
        """Return where the jars for a Spark lie, whether or not they are there."""
        return self.root / f"{spark.hadoop}-{spark.scala}"

    def missing(self, spark: Spark) -> list[Artifact]:
        """Return what a Spark lacks for S3A; raises Unsupported."""
        if spark.connector is not None:
            return []
        folder = self.folder(spark)
        return [jar for jar in connector_artifacts(spark) if not (folder / jar.file_name).is_file()]

    def complete(self, spark: Spark) -> None:
        """Say that all jars of a connector are there; spark-env.sh adds no others."""
        folder = self.folder(spark)
        names = [jar.file_name for jar in connector_artifacts(spark)]
        with tempfile.NamedTemporaryFile("w", dir=folder, prefix=f".{COMPLETE}.", delete=False) as file:
            file.writelines(f"{name}\n" for name in names)
        os.chmod(file.name, 0o644)
        os.replace(file.name, folder / COMPLETE)

    def committers(self, spark: Spark) -> Path | None:
        """Return the newest cached jar of the S3A committers for a Spark's line."""
        pattern = f"{committers_name(spark)}-{spark.line}.*.jar"
        found = sorted(self.folder(spark).glob(pattern), key=lambda path: version_key(path.stem))
        return found[-1] if found else None

    def jars(self, spark: Spark) -> list[Path]:
        """Return the jars that a launched Spark is given; none while any is missing."""
        if spark.connector is not None or self.missing(spark):
            return []
        if not (self.folder(spark) / COMPLETE).is_file():
            return []
        jars = [self.folder(spark) / jar.file_name for jar in connector_artifacts(spark)]
        committers = self.committers(spark)
        return jars if committers is None else [*jars, committers]


def cache_root(environment: Mapping[str, str]) -> Path:
    """Return the folder of cached connectors (XDG Base Directory Specification)."""
    base = environment.get("XDG_CACHE_HOME", "")
    if not base.startswith("/"):
        base = str(Path(environment.get("HOME") or Path.home()) / ".cache")
    return Path(base) / "sidegate" / "spark"


def version_key(text: str) -> tuple[int, ...]:
    """Return the numbers of a version's last segment after `-`, to sort by."""
    return tuple(int(part) for part in text.rpartition("-")[2].split(".") if part.isdigit())
