"""Many files and a large one, written and read, against the same on local disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from spark_bench import JOBS, Bench, Reference, debris, file_hashes

pytestmark = [pytest.mark.spark, pytest.mark.client, pytest.mark.slow, pytest.mark.timeout(1800)]

WRITE = JOBS / "write_everything.py"
GIBIBYTE = 1 << 30


def lines_of(printed: str) -> str:
    (line,) = (line for line in printed.splitlines() if line.startswith("LINES "))
    return line


@pytest.mark.parametrize("committer", ["v1", "v2", "magic", "directory"])
def test_two_thousand_small_files(bench: Bench, reference: Reference, tmp_path: Path, committer: str) -> None:
    outcome = bench.submit(committer, WRITE, "s3a://labs", "s3a://out", "many")
    assert outcome.code == 0, outcome.log
    reference.submit(WRITE, tmp_path / "labs", tmp_path / "local", "many")
    written = bench.output()
    assert len(written.files) == 2000
    assert written.files == file_hashes(tmp_path / "local")
    assert debris(written.files) == []
    read = bench.run("python3", JOBS / "sum_lines.py", "s3a://result/many", name="read", repo="result")
    assert read.code == 0, read.log
    assert lines_of(read.log) == lines_of(reference.submit(JOBS / "sum_lines.py", tmp_path / "local/many"))


@pytest.mark.parametrize("committer", ["v1", "magic"])
def test_a_file_of_a_gibibyte(bench: Bench, reference: Reference, tmp_path: Path, committer: str) -> None:
    outcome = bench.submit(committer, WRITE, "s3a://labs", "s3a://out", "gibibyte")
    assert outcome.code == 0, outcome.log
    reference.submit(WRITE, tmp_path / "labs", tmp_path / "local", "gibibyte")
    (file,) = (tmp_path / "local/gibibyte").glob("part-*")
    assert file.stat().st_size >= GIBIBYTE
    assert bench.output().files == file_hashes(tmp_path / "local")
    read = bench.run("python3", JOBS / "sum_lines.py", "s3a://result/gibibyte", name="read", repo="result")
    assert read.code == 0, read.log
    assert lines_of(read.log) == lines_of(reference.submit(JOBS / "sum_lines.py", file.parent))
