"""The checks of `sidegate doctor --spark`: what an unchanged Spark job would get here."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

from sidegate.cli.checks import Check
from sidegate.cli.spark import chosen_spark
from sidegate.errors import NotFound, SidegateError
from sidegate.pps.spark.configuration import HADOOP_VARIABLE, SPARK_VARIABLE
from sidegate.pps.spark.connectors import ConnectorCache, cache_root, committers_name
from sidegate.pps.spark.installations import Spark

_JAVA_SECONDS = 20
_INJECTED = "a core-site.xml that leads S3A to the job's gateway (endpoint, region, requests not signed)"


def run_spark_checks(spark_home: str | None) -> list[Check]:
    """Look at Spark, its Java, its connector and the user's configuration of it."""
    try:
        spark = chosen_spark(spark_home)
    except NotFound as error:
        return [Check("spark", "broken", error.message, error.remedy or ""), check_java()]
    return [_describe_spark(spark), check_java(), check_connector(spark), check_configuration(spark)]


def _describe_spark(spark: Spark) -> Check:
    facts = {
        "home": str(spark.home),
        "version": spark.version,
        "scala": spark.scala,
        "hadoop": spark.hadoop,
        "connector": spark.connector,
    }
    own = f"its own S3A connector {spark.connector}" if spark.connector else "no S3A connector of its own"
    text = f"{spark.version} with Hadoop {spark.hadoop} and Scala {spark.scala} in {spark.home}; {own}"
    if spark.connector not in (None, spark.hadoop):
        remedy = (
            f"replace it by hadoop-aws-{spark.hadoop}.jar: other versions fail in ways that are hard to read"
        )
        return Check("spark", "warning", text, remedy, facts)
    return Check("spark", "ok", text, facts=facts)


def check_java() -> Check:
    """Say which Java Spark would start."""
    home = os.environ.get("JAVA_HOME")
    program = str(Path(home, "bin", "java")) if home else shutil.which("java")
    if program is None or not Path(program).exists():
        text = f"JAVA_HOME={home} has no bin/java" if home else "no java on PATH, and JAVA_HOME is not set"
        return Check("java", "broken", text, "install Java 17 or set JAVA_HOME", {"path": None})
    try:
        done = subprocess.run(
            [program, "-version"], capture_output=True, text=True, timeout=_JAVA_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check("java", "broken", f"{program} does not run: {error}", "install Java 17")
    found = re.search(r'version "([^"]+)"', done.stderr + done.stdout)
    version = found[1] if found else "of an unknown version"
    return Check("java", "ok", f"{version} in {program}", facts={"path": program, "version": version})


def check_connector(spark: Spark) -> Check:
    """Say which jars a launched Spark would be given, and how to get what is missing."""
    cache = ConnectorCache(cache_root(os.environ))
    folder = cache.folder(spark)
    facts: dict[str, object] = {"folder": str(folder), "injected": [], "missing": []}
    if spark.connector is not None:
        return Check("connector", "ok", "nothing would be added: this Spark has one", facts=facts)
    command = f"sidegate spark fetch --spark-home {shlex.quote(str(spark.home))}"
    try:
        jars, missing = cache.jars(spark), cache.missing(spark)
    except SidegateError as error:
        return Check("connector", "broken", error.message, error.remedy or "", facts)
    facts |= {"injected": [str(jar) for jar in jars], "missing": [jar.file_name for jar in missing]}
    facts["command"] = command
    if not jars:
        names = ", ".join(jar.file_name for jar in missing) or "the mark that all jars are there"
        return Check("connector", "broken", f"missing in {folder}: {names}", f"get it with: {command}", facts)
    text = f"{', '.join(jar.name for jar in jars)} from {folder} would be added"
    if cache.committers(spark) is None:
        text += f"; no {committers_name(spark)}, so the S3A committers cannot be used"
        return Check("connector", "warning", text, f"get it with: {command}", facts)
    return Check("connector", "ok", text, facts=facts)


def check_configuration(spark: Spark) -> Check:
    """Say which configuration of the user's would lie over the gateway's."""
    found: dict[str, str] = {}
    for name in (HADOOP_VARIABLE, SPARK_VARIABLE):
        if os.environ.get(name):
            found[name] = os.environ[name]
    beside = spark.home / "conf"
    if SPARK_VARIABLE not in found and beside.is_dir():
        found["SPARK_HOME/conf"] = str(beside)
    lost = [f"{name}={value}" for name, value in found.items() if not Path(value).is_dir()]
    if lost:
        text = f"{', '.join(lost)} is no folder and would not be used"
        return Check("settings", "warning", text, "correct the variable or unset it", dict(found))
    if not found:
        return Check("settings", "ok", f"{_INJECTED}; the user has no configuration of Hadoop or Spark")
    kept = ", ".join(f"{name} ({value})" for name, value in found.items())
    return Check("settings", "ok", f"{_INJECTED}, laid under {kept}", facts=dict(found))
