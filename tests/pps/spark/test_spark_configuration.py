"""What is laid out for Spark; that a real one takes it is tested in tests/spark."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest

from sidegate.pps.environment import COMPLAINTS, InputVariable, JobEnvironment, build_environment
from sidegate.pps.spark.configuration import SparkConfiguration
from sidegate.pps.spark.connectors import ConnectorCache, connector_artifacts
from sidegate.pps.spark.installations import read_spark

SPARK_JARS = ("spark-core_2.12-3.5.9.jar", "hadoop-client-api-3.3.4.jar", "scala-library-2.12.18.jar")
SITE = "<configuration><property><name>fs.s3a.endpoint</name><value>theirs</value></property></configuration>"
INCLUDE = "{http://www.w3.org/2001/XInclude}include"


def spark_home(folder: Path, *more: str) -> Path:
    home = folder / "spark-home"
    (home / "jars").mkdir(parents=True)
    for name in (*SPARK_JARS, *more):
        (home / "jars" / name).touch()
    return home


def filled_cache(folder: Path, home: Path) -> ConnectorCache:
    cache, spark = ConnectorCache(folder / "a cache"), read_spark(home)
    cache.folder(spark).mkdir(parents=True)
    for jar in connector_artifacts(spark):
        (cache.folder(spark) / jar.file_name).touch()
    for version in ("3.5.8", "3.5.10", "3.4.3"):
        (cache.folder(spark) / f"spark-hadoop-cloud_2.12-{version}.jar").touch()
    cache.complete(spark)
    return cache


def job(
    folder: Path, cache: ConnectorCache, endpoint: str | None = "http://127.0.0.1:9000"
) -> JobEnvironment:
    return JobEnvironment(
        job_id="j" * 32,
        datum_id="d",
        output_commit_id="c",
        endpoint=endpoint,
        access_key="j" * 32,
        pfs_root="/pfs",
        inputs=[InputVariable("labs", "c1"), InputVariable("lab_results", "c2")],
        contributors=[SparkConfiguration(cache)],
        folder=folder / "attempt",
    )


def lay_out(folder: Path, cache: ConnectorCache, user: Mapping[str, str], **transform: str) -> dict[str, str]:
    (folder / "attempt").mkdir()
    return dict(build_environment(job(folder, cache), user, transform).variables)


def properties(path: Path) -> dict[str, str]:
    return {
        str(found.findtext("name")): str(found.findtext("value"))
        for found in ElementTree.parse(path).getroot().iterfind("property")
    }


def included(path: Path) -> list[str]:
    return [str(found.get("href")) for found in ElementTree.parse(path).getroot().iterfind(INCLUDE)]


def launch(home: Path, variables: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Read spark-env.sh as bin/load-spark-env.sh does; return the environment after it, and what it said."""
    script = (
        f'SPARK_HOME="{home}"; export SPARK_CONF_DIR="${{SPARK_CONF_DIR:-"${{SPARK_HOME}}"/conf}}"; '
        "set -a; . ${SPARK_CONF_DIR}/spark-env.sh; set +a; env -0"
    )
    done = subprocess.run(
        ["bash", "-c", script], env={**variables, "PATH": os.environ["PATH"]}, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    pairs = (item.partition("=") for item in done.stdout.decode().split("\0") if item)
    return {name: value for name, _, value in pairs}, done.stderr.decode()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return spark_home(tmp_path)


@pytest.fixture
def cache(tmp_path: Path, home: Path) -> ConnectorCache:
    return filled_cache(tmp_path, home)


def test_settings_lead_all_buckets_and_the_jobs_own_by_name(tmp_path: Path, cache: ConnectorCache) -> None:
    variables = lay_out(tmp_path, cache, {})
    found = properties(Path(variables["HADOOP_CONF_DIR"]) / "core-site.xml")
    for prefix in ("fs.s3a", "fs.s3a.bucket.labs", "fs.s3a.bucket.lab-results", "fs.s3a.bucket.out"):
        assert found[f"{prefix}.endpoint"] == "http://127.0.0.1:9000"
        assert found[f"{prefix}.path.style.access"] == "true"
        assert found[f"{prefix}.connection.ssl.enabled"] == "false"
        assert found[f"{prefix}.access.key"] == "j" * 32
    assert not [name for name in found if "committer.name" in name or "committer.factory" in name]


def test_tasks_and_driver_stage_in_one_place_wherever_they_run(tmp_path: Path, cache: ConnectorCache) -> None:
    """Hadoop's own is relative: executors and driver, each in a folder of its own, would lose all rows."""
    variables = lay_out(tmp_path, cache, {})
    found = properties(Path(variables["HADOOP_CONF_DIR"]) / "core-site.xml")
    assert found["fs.s3a.committer.staging.tmp.path"] == str(tmp_path / "attempt" / "staging")


def test_the_connector_of_that_hadoop_is_added(tmp_path: Path, home: Path, cache: ConnectorCache) -> None:
    after, said = launch(home, lay_out(tmp_path, cache, {}))
    names = [path.rpartition("/")[2] for path in after["SPARK_DIST_CLASSPATH"].split(":")]
    assert names == [
        "hadoop-aws-3.3.4.jar",
        "aws-java-sdk-bundle-1.12.262.jar",
        "spark-hadoop-cloud_2.12-3.5.10.jar",
    ]
    assert "Spark 3.5.9 (Hadoop 3.3.4)" in said
    assert "hadoop-aws-3.3.4.jar" in said


def test_what_spark_does_not_know_is_not_left_behind(
    tmp_path: Path, home: Path, cache: ConnectorCache
) -> None:
    after, _ = launch(home, lay_out(tmp_path, cache, {}))
    assert [name for name in after if "sidegate" in name.lower()] == []


def test_a_spark_with_a_connector_is_left_alone(tmp_path: Path, cache: ConnectorCache) -> None:
    home = spark_home(tmp_path / "own", "hadoop-aws-3.3.4.jar")
    after, said = launch(home, lay_out(tmp_path, cache, {}))
    assert "SPARK_DIST_CLASSPATH" not in after
    assert said == ""


def test_a_class_path_of_the_user_stays_in_front(tmp_path: Path, home: Path, cache: ConnectorCache) -> None:
    after, _ = launch(home, lay_out(tmp_path, cache, {"SPARK_DIST_CLASSPATH": "/mine.jar"}))
    assert after["SPARK_DIST_CLASSPATH"].startswith("/mine.jar:")


def test_what_is_missing_is_said_with_the_command_that_gets_it(tmp_path: Path, home: Path) -> None:
    after, said = launch(home, lay_out(tmp_path, ConnectorCache(tmp_path / "empty"), {}))
    assert "SPARK_DIST_CLASSPATH" not in after
    remedy = f"sidegate spark fetch --spark-home '{home}'"
    assert remedy in said
    assert remedy in (tmp_path / "attempt" / COMPLAINTS).read_text()


def test_the_users_folders_are_laid_over_ours(tmp_path: Path, home: Path, cache: ConnectorCache) -> None:
    hadoop, spark = tmp_path / "hadoop & co", tmp_path / "my spark"
    for folder in (hadoop, spark):
        folder.mkdir()
        (folder / "core-site.xml").write_text(SITE)
    (hadoop / "hive-site.xml").touch()
    (spark / "spark-defaults.conf").touch()
    (spark / "spark-env.sh").write_text("MINE=1\n")
    variables = lay_out(tmp_path, cache, {"HADOOP_CONF_DIR": str(hadoop)}, SPARK_CONF_DIR=str(spark))
    ours, conf = Path(variables["HADOOP_CONF_DIR"]), Path(variables["SPARK_CONF_DIR"])
    assert included(ours / "core-site.xml") == [str(hadoop / "core-site.xml"), str(spark / "core-site.xml")]
    assert (ours / "hive-site.xml").resolve() == hadoop / "hive-site.xml"
    assert {path.name for path in conf.iterdir()} == {"spark-env.sh", "spark-defaults.conf"}
    after, _ = launch(home, variables)
    assert after["MINE"] == "1"
    assert after["HADOOP_CONF_DIR"] == str(ours)
    assert after["SPARK_CONF_DIR"] == str(conf)


def test_configuration_that_only_the_spark_names_is_laid_over_ours(
    tmp_path: Path, home: Path, cache: ConnectorCache
) -> None:
    hadoop = tmp_path / "it's hadoop"
    for folder in (hadoop, home / "conf"):
        folder.mkdir()
        (folder / "core-site.xml").write_text(SITE)
    (hadoop / "yarn-site.xml").touch()
    (home / "conf" / "log4j2.properties").touch()
    (home / "conf" / "spark-env.sh").write_text(f'HADOOP_CONF_DIR="{hadoop}"\n')
    variables = lay_out(tmp_path, cache, {})
    after, said = launch(home, variables)
    made = Path(after["HADOOP_CONF_DIR"])
    assert included(made / "core-site.xml") == [
        f"{variables['HADOOP_CONF_DIR']}/core-site.xml",
        str(hadoop / "core-site.xml"),
        str(home / "conf" / "core-site.xml"),
    ]
    assert (made / "yarn-site.xml").is_symlink()
    assert {path.name for path in Path(after["SPARK_CONF_DIR"]).iterdir()} == {"log4j2.properties"}
    assert str(hadoop) in said


def test_the_log_says_whose_configuration_is_kept(tmp_path: Path, cache: ConnectorCache) -> None:
    (tmp_path / "attempt").mkdir()
    (tmp_path / "core-site.xml").write_text(SITE)
    user = {"HADOOP_CONF_DIR": str(tmp_path), "SPARK_CONF_DIR": "/nowhere/at/all"}
    told = build_environment(job(tmp_path, cache), user, {}).notes
    assert any("HADOOP_CONF_DIR" in text and str(tmp_path) in text for text in told)
    assert any("/nowhere/at/all" in text for text in told)


def test_a_path_that_sparks_scripts_cannot_read_is_said(tmp_path: Path, cache: ConnectorCache) -> None:
    place = tmp_path / "with space"
    (place / "attempt").mkdir(parents=True)
    built = build_environment(job(place, cache), {}, {})
    assert "SPARK_CONF_DIR" not in built.variables
    assert any("without spaces" in text for text in built.notes)


def test_a_job_without_s3_gets_nothing(tmp_path: Path, cache: ConnectorCache) -> None:
    assert "HADOOP_CONF_DIR" not in build_environment(job(tmp_path, cache, None), {}, {}).variables


def test_hidden_aws_files_are_files(tmp_path: Path, cache: ConnectorCache) -> None:
    assert Path(lay_out(tmp_path, cache, {})["AWS_CONFIG_FILE"]).read_bytes() == b""


def test_it_costs_little(tmp_path: Path, cache: ConnectorCache) -> None:
    times = []
    for number in range(5):
        place = tmp_path / str(number)
        (place / "attempt").mkdir(parents=True)
        started = time.perf_counter()
        SparkConfiguration(cache)(job(place, cache), {})
        times.append(time.perf_counter() - started)
    assert min(times) < 0.005
