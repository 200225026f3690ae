"""Lays out the configuration with which an unchanged Spark job finds its gateway.

Writes two folders per attempt: HADOOP_CONF_DIR with a `core-site.xml`, and
SPARK_CONF_DIR whose `spark-env.sh` acts when a Spark is launched. The user's
own folders are laid over them with links; starts nothing.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from sidegate.pps.environment import Contribution, JobEnvironment
from sidegate.pps.spark.connectors import ConnectorCache
from sidegate.pps.spark.gateway_site import render_site, site_properties

HADOOP_VARIABLE, SPARK_VARIABLE = "HADOOP_CONF_DIR", "SPARK_CONF_DIR"
_SITE, _LAUNCH = "core-site.xml", "spark-env.sh"
_SETTINGS = "# __SIDEGATE_SETTINGS__"
_AWS_FILES = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")
"""Where these hide the user's files, version 1 of the SDK wants a file: of /dev/null it logs a stack."""

_SPLIT_BY_SHELL = re.compile(r"[\s*?\[]")
"""load-spark-env.sh sources the path of spark-env.sh without quotes (Spark 3.5 and 4.0)."""


class SparkConfiguration:
    """Gives each attempt of a job its two folders of configuration."""

    def __init__(self, cache: ConnectorCache) -> None:
        self._cache = cache

    def __call__(self, job: JobEnvironment, variables: Mapping[str, str]) -> Contribution:
        """Write the folders below the attempt's own; return the variables that lead to them."""
        if job.endpoint is None or job.folder is None:
            return Contribution({})
        notes: list[str] = []
        found = {
            name: str(_empty_file(job.folder)) for name in _AWS_FILES if variables.get(name) == os.devnull
        }
        hadoop, spark = job.folder / "hadoop", job.folder / "spark"
        user_hadoop = _folder(variables, HADOOP_VARIABLE, notes)
        user_spark = _spark_folder(variables, notes)
        sites = [
            folder / _SITE for folder in (user_hadoop, user_spark) if folder and (folder / _SITE).is_file()
        ]
        inputs = [given.name for given in job.inputs]
        properties = site_properties(job.endpoint, job.access_key, inputs, job.folder / "staging")
        hadoop.mkdir(parents=True)
        (hadoop / _SITE).write_text(render_site(properties, sites), encoding="utf-8")
        _link_files(user_hadoop, hadoop)
        if sites:
            notes.append(f"S3A settings for the gateway are laid under those of {_joined(sites)}")
        if _SPLIT_BY_SHELL.search(str(spark)):
            notes.append(
                f"Spark's shell scripts cannot read a configuration below {str(job.folder)!r}, so a Spark "
                "without an S3A connector is not given one: keep the store in a path without spaces"
            )
            return Contribution({**found, HADOOP_VARIABLE: str(hadoop)}, notes)
        spark.mkdir()
        (spark / _LAUNCH).write_text(self._launch_script(job.folder, user_spark), encoding="utf-8")
        _link_files(user_spark, spark, skipped=_SITE)  # it would hide the one in HADOOP_CONF_DIR
        return Contribution({**found, HADOOP_VARIABLE: str(hadoop), SPARK_VARIABLE: str(spark)}, notes)

    def _launch_script(self, folder: Path, user_spark: Path | None) -> str:
        settings = {
            "sidegate_folder": folder,
            "sidegate_hadoop": folder / "hadoop",
            "sidegate_user_conf": user_spark or "",
            "sidegate_cache": self._cache.root,
        }
        lines = [f"{name}={shlex.quote(str(value))}" for name, value in settings.items()]
        script = resources.files(__package__).joinpath(_LAUNCH).read_text(encoding="utf-8")
        return script.replace(_SETTINGS, "\n".join(lines))


def _empty_file(folder: Path) -> Path:
    path = folder / "empty"
    path.touch()
    return path


def _spark_folder(variables: Mapping[str, str], notes: list[str]) -> Path | None:
    """Return the user's Spark configuration, as far as the environment tells before a launch."""
    folder = _folder(variables, SPARK_VARIABLE, notes)
    if folder is None and variables.get("SPARK_HOME"):
        beside = Path(variables["SPARK_HOME"]) / "conf"
        return beside if beside.is_dir() else None
    return folder


def _folder(variables: Mapping[str, str], name: str, notes: list[str]) -> Path | None:
    value = variables.get(name)
    if not value:
        return None
    folder = Path(value).absolute()
    if not folder.is_dir():
        notes.append(f"{name} of the user is no folder and is not used: {value}")
        return None
    notes.append(f"{name}: the user's {value} is kept, and wins")
    return folder


def _link_files(source: Path | None, target: Path, skipped: str = "") -> None:
    for path in source.iterdir() if source else ():
        if path.name != skipped and not (target / path.name).exists():
            (target / path.name).symlink_to(path)


def _joined(paths: list[Path]) -> str:
    return " and ".join(str(path) for path in paths)
