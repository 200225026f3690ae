"""Which Spark lies in a folder, told by the names of its jars.

Starts no Java: looking costs one listing of a folder.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sidegate.errors import NotFound

_CORE = re.compile(r"spark-core_(\d+\.\d+)-(\d.*)\.jar")
_HADOOP = re.compile(r"hadoop-(?:client-api|common)-(\d.*)\.jar")
_CONNECTOR = re.compile(r"hadoop-aws-(\d.*)\.jar")
_WHERE_PYSPARK = (
    "import importlib.util as u; s = u.find_spec('pyspark');"
    " print(s.submodule_search_locations[0] if s else '')"
)
_ANSWER_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Spark:
    """An installed Spark; `connector` is the version of its own hadoop-aws, if it has one."""

    home: Path
    version: str
    scala: str
    hadoop: str
    connector: str | None = None

    @property
    def line(self) -> str:
        """Return major and minor version: `3.5`."""
        return ".".join(self.version.split(".")[:2])


def read_spark(home: Path) -> Spark:
    """Return the Spark in a folder; raises NotFound."""
    jars = home / "jars"
    names = [path.name for path in jars.iterdir()] if jars.is_dir() else []
    core, hadoop = _first(_CORE, names), _first(_HADOOP, names)
    if core is None or hadoop is None:
        lacks = "spark-core" if core is None else "hadoop-client-api"
        raise NotFound(
            f"{str(home)!r} is not a Spark with its Hadoop: jars/ has no {lacks}",
            remedy="name the folder that holds bin/ and jars/, with --spark-home or SPARK_HOME",
            path=str(home),
        )
    connector = _first(_CONNECTOR, names)
    return Spark(home, core[2], core[1], hadoop[1], connector[1] if connector else None)


def find_spark(environment: Mapping[str, str]) -> Spark:
    """Return the Spark that a job started from here would get; raises NotFound.

    As Spark itself looks: SPARK_HOME, then where `spark-submit` of PATH lies, then the pyspark of
    PATH's python3.
    """
    if environment.get("SPARK_HOME"):
        return read_spark(Path(environment["SPARK_HOME"]))
    for home in _homes_on_path(environment.get("PATH")):
        if (home / "jars").is_dir():
            return read_spark(home)
    raise NotFound(
        "no Spark was found: SPARK_HOME is not set, and PATH has no spark-submit and no python3 with pyspark",
        remedy="activate the environment that the job runs in, or give --spark-home",
    )


def _homes_on_path(path: str | None) -> Iterator[Path]:
    submit = shutil.which("spark-submit", path=path)
    if submit is not None:
        top = Path(submit).resolve().parent.parent
        yield top
        yield from sorted(top.glob("lib/python*/site-packages/pyspark"))
    python = shutil.which("python3", path=path)
    if python is not None:
        asked = [python, "-c", _WHERE_PYSPARK]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False)
        if done.stdout.strip():
            yield Path(done.stdout.strip())


def _first(pattern: re.Pattern[str], names: list[str]) -> re.Match[str] | None:
    found = (pattern.fullmatch(name) for name in sorted(names))
    return next((match for match in found if match), None)
