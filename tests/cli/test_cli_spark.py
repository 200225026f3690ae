"""`sidegate spark fetch` and `sidegate doctor --spark`, with a Spark that is only a folder of names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sidegate.pps.spark.connectors import ConnectorCache, connector_artifacts
from sidegate.pps.spark.installations import read_spark

Run = Callable[..., Any]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "spark"
    (folder / "jars").mkdir(parents=True)
    for name in ("spark-core_2.13-4.0.5.jar", "hadoop-client-api-3.4.1.jar"):
        (folder / "jars" / name).touch()
    java = tmp_path / "java/bin/java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\necho 'openjdk version \"17.0.1\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "java"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("SPARK_HOME", "HADOOP_CONF_DIR", "SPARK_CONF_DIR"):
        monkeypatch.delenv(name, raising=False)
    return folder


def fill_cache(tmp_path: Path, home: Path, *more: str) -> None:
    cache, spark = ConnectorCache(tmp_path / "cache/sidegate/spark"), read_spark(home)
    cache.folder(spark).mkdir(parents=True)
    for name in (*(jar.file_name for jar in connector_artifacts(spark)), *more):
        (cache.folder(spark) / name).touch()
    cache.complete(spark)


def test_doctor_names_what_is_missing_and_the_command(bare_run: Run, home: Path) -> None:
    shown = bare_run("doctor", "--spark", "--spark-home", home)
    assert shown.code == 1
    assert "4.0.5 with Hadoop 3.4.1 and Scala 2.13" in shown.out
    assert f"sidegate spark fetch --spark-home {home}" in shown.out
    assert bare_run("doctor", "--spark-home", home, "--json").row["checks"]["connector"] == {
        "state": "broken",
        "text": f"missing in {home.parent}/cache/sidegate/spark/3.4.1-2.13: "
        "hadoop-aws-3.4.1.jar, bundle-2.24.6.jar",
        "folder": f"{home.parent}/cache/sidegate/spark/3.4.1-2.13",
        "injected": [],
        "missing": ["hadoop-aws-3.4.1.jar", "bundle-2.24.6.jar"],
        "command": f"sidegate spark fetch --spark-home {home}",
    }


def test_doctor_says_what_would_be_added(
    bare_run: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_cache(tmp_path, home, "spark-hadoop-cloud_2.13-4.0.2.jar")
    monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path))
    shown = bare_run("doctor", "--spark", "--spark-home", home)
    assert shown.code == 0, shown.out
    assert "hadoop-aws-3.4.1.jar, bundle-2.24.6.jar, spark-hadoop-cloud_2.13-4.0.2.jar" in shown.out
    assert "17.0.1" in shown.out
    assert f"laid under HADOOP_CONF_DIR ({tmp_path})" in shown.out


def test_doctor_without_spark_says_how_to_name_one(
    bare_run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    shown = bare_run("doctor", "--spark")
    assert shown.code == 1
    assert "--spark-home" in shown.out


def test_fetch_of_what_is_there_asks_nobody(
    bare_run: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_cache(tmp_path, home, "spark-hadoop-cloud_2.13-4.0.2.jar")
    monkeypatch.setenv("SIDEGATE_MAVEN_MIRROR", "http://127.0.0.1:9")
    done = bare_run("spark", "fetch", "--spark-home", home, "--json")
    assert done.code == 0, done.err
    assert done.row["new"] == []
    assert done.row["present"][-1] == "spark-hadoop-cloud_2.13-4.0.2.jar"


def test_fetch_says_when_the_repository_is_not_there(
    bare_run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIDEGATE_MAVEN_MIRROR", "http://127.0.0.1:9")
    done = bare_run("spark", "fetch", "--spark-home", home)
    assert done.code == 1
    assert "SIDEGATE_MAVEN_MIRROR" in done.error


def test_a_spark_with_a_connector_needs_nothing(bare_run: Run, home: Path) -> None:
    (home / "jars/hadoop-aws-3.4.1.jar").touch()
    assert "nothing to fetch" in bare_run("spark", "fetch", "--spark-home", home).err
    assert bare_run("doctor", "--spark-home", home).code == 0


def test_no_spark_there_is_not_found(bare_run: Run, home: Path) -> None:
    done = bare_run("spark", "fetch", "--spark-home", home.parent)
    assert done.code == 3
    assert "spark-core" in done.error
