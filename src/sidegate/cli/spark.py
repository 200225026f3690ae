"""`sidegate spark`: what Spark needs to read and write through a job's gateway."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sidegate.cli.commands import Group, json_option, spark_home_option
from sidegate.cli.printing import emit, note, say, transfer_progress

if TYPE_CHECKING:
    from sidegate.pps.spark.installations import Spark


@click.group(
    "spark",
    cls=Group,
    examples="""
    sidegate spark fetch
    sidegate doctor --spark
    """,
)
def command() -> None:
    """Prepare for jobs that run Spark."""


@command.command(
    "fetch",
    examples="""
    sidegate spark fetch
    sidegate spark fetch --spark-home /opt/spark
    SIDEGATE_MAVEN_MIRROR=https://maven.example.org/central sidegate spark fetch
    """,
)
@spark_home_option
@json_option
def fetch(spark_home: str | None, as_json: bool) -> None:
    """Bring the S3A connector that matches a Spark.

    Spark as it is distributed cannot read or write s3a://. This brings the
    jars that it lacks into $XDG_CACHE_HOME/sidegate/spark, once for all
    Sparks with the same Hadoop, from Maven Central or the mirror that
    $SIDEGATE_MAVEN_MIRROR or ~/.m2/settings.xml names. Jobs that start that
    Spark are then given them; Spark itself is not changed.
    """
    from sidegate.pps.spark.connectors import ConnectorCache, cache_root
    from sidegate.pps.spark.fetching import fetch_connector
    from sidegate.pps.spark.maven import choose_repository

    spark = chosen_spark(spark_home)
    if spark.connector is not None:
        note(f"Spark {spark.version} has its own S3A connector {spark.connector}: there is nothing to fetch")
        if as_json:
            emit({"spark": spark.version, "hadoop": spark.hadoop, "folder": None, "new": [], "present": []})
        return
    repository = choose_repository(os.environ)
    fetched = fetch_connector(spark, ConnectorCache(cache_root(os.environ)), repository, transfer_progress)
    for text in fetched.notes:
        note(text)
    if as_json:
        emit(
            {
                "spark": spark.version,
                "hadoop": spark.hadoop,
                "folder": str(fetched.folder),
                "new": list(fetched.new),
                "present": list(fetched.present),
            }
        )
        return
    for name in fetched.present:
        note(f"{name} was there already")
    for name in fetched.new:
        note(f"{name} fetched from {repository}, and verified")
    say(str(fetched.folder))


def chosen_spark(spark_home: str | None) -> Spark:
    """Return the Spark that is meant; raises NotFound."""
    from sidegate.pps.spark.installations import find_spark, read_spark

    return read_spark(Path(spark_home).absolute()) if spark_home else find_spark(os.environ)
