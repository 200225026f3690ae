"""The aws CLI from PyPI, run as a job runs it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.client

Aws = Callable[..., str]
FILES = {
    "plain.txt": b"plain",
    "empty": b"",
    "a b/c+d%41.txt": b"odd",
    "ü/日本 e\u0301.bin": os.urandom(70_000),
    "deep/er/and/deeper.csv": b"1,2\n" * 9000,
    "big.bin": os.urandom(9 << 20),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "files"
    write(root, FILES)
    return root


def write(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def read(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_folder_goes_up_and_is_listed(place: Any, aws: Aws, folder: Path) -> None:
    aws(place, "s3", "cp", str(folder), f"s3://{place.bucket}/in", "--recursive")
    assert place.files() == {f"in/{name}": content for name, content in FILES.items()}
    listing = aws(place, "s3", "ls", f"s3://{place.bucket}/in/", "--recursive")
    assert sorted(line.split(None, 3)[3] for line in listing.splitlines()) == sorted(place.files())
    assert "PRE in/" in aws(place, "s3", "ls", f"s3://{place.bucket}")


def test_the_documented_job(sidecar: Any, aws: Aws, tmp_path: Path) -> None:
    """ls, cp --recursive from the input, cp --recursive to out."""
    assert [line.split()[2] for line in aws(sidecar, "s3", "ls").splitlines()] == ["inp", "out"]
    aws(sidecar, "s3", "cp", "s3://inp/", str(tmp_path / "result"), "--recursive")
    assert read(tmp_path / "result") == sidecar.input_files
    aws(sidecar, "s3", "cp", str(tmp_path / "result"), "s3://out", "--recursive")
    assert sidecar.files() == sidecar.input_files


def test_files_come_back_as_they_were(general: Any, aws: Aws, folder: Path, tmp_path: Path) -> None:
    aws(general, "s3", "cp", str(folder), "s3://labs/", "--recursive")
    aws(general, "s3", "cp", "s3://labs/", str(tmp_path / "back"), "--recursive")
    assert read(tmp_path / "back") == FILES


def test_sync_moves_only_what_changed(general: Any, aws: Aws, folder: Path, tmp_path: Path) -> None:
    """Trap 42: it compares sizes and times, which must not wander."""
    aws(general, "s3", "sync", str(folder), "s3://labs/x")
    assert aws(general, "s3", "sync", str(folder), "s3://labs/x") == ""
    write(folder, {"plain.txt": b"changed!"})
    (folder / "empty").unlink()
    said = aws(general, "s3", "sync", str(folder), "s3://labs/x", "--delete")
    assert sorted(line.split()[0] for line in said.replace("\r", "\n").splitlines() if "x/" in line) == [
        "delete:",
        "upload:",
    ]
    aws(general, "s3", "sync", "s3://labs/x", str(tmp_path / "back"))
    assert read(tmp_path / "back") == read(folder)
    assert aws(general, "s3", "sync", "s3://labs/x", str(tmp_path / "back")) == ""


def test_mv_and_rm(place: Any, aws: Aws, folder: Path) -> None:
    bucket = place.bucket
    aws(place, "s3", "cp", str(folder), f"s3://{bucket}/a", "--recursive")
    aws(place, "s3", "mv", f"s3://{bucket}/a/", f"s3://{bucket}/b/", "--recursive")
    assert place.files() == {f"b/{name}": content for name, content in FILES.items()}
    aws(place, "s3", "rm", f"s3://{bucket}/b/plain.txt")
    aws(place, "s3", "rm", f"s3://{bucket}/b/", "--recursive", "--exclude", "*.bin")
    assert sorted(place.files()) == sorted(f"b/{name}" for name in FILES if name.endswith(".bin"))


def test_a_stream_from_a_pipe(general: Any, aws: Aws, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"streamed")
    aws(general, "s3", "cp", str(tmp_path / "one"), "s3://labs/one")
    assert aws(general, "s3", "cp", "s3://labs/one", "-") == "streamed"
    assert (
        aws(general, "s3api", "head-object", "--bucket", "labs", "--key", "one", "--query", "ContentLength")
        == "8\n"
    )


def test_refusals_read_well(sidecar: Any, aws: Aws, folder: Path) -> None:
    said = aws(sidecar, "s3", "cp", str(folder / "plain.txt"), "s3://inp/x", status=1)
    assert "AccessDenied" in said
    assert "read-only" in said
    aws(sidecar, "s3", "cp", str(folder / "plain.txt"), "s3://out/x")
    said = aws(sidecar, "s3api", "get-object", "--bucket", "out", "--key", "x", str(folder / "y"), status=255)
    assert "write-only" in said
    assert "NoSuchBucket" in aws(sidecar, "s3", "ls", "s3://nowhere", status=255)
    assert "AccessDenied" in aws(sidecar, "s3", "rb", "s3://out", status=1)


def test_buckets_are_made_and_removed(general: Any, aws: Aws) -> None:
    aws(general, "s3", "mb", "s3://fresh")
    assert "fresh" in aws(general, "s3", "ls")
    aws(general, "s3", "rb", "s3://fresh")
    assert "fresh" not in aws(general, "s3", "ls")


def test_signed_requests_are_checked(keyed: Any, aws: Aws, folder: Path, tmp_path: Path) -> None:
    aws(keyed, "s3", "cp", str(folder), "s3://labs/", "--recursive")
    aws(keyed, "s3", "cp", "s3://labs/", str(tmp_path / "back"), "--recursive")
    assert read(tmp_path / "back") == FILES
    link = aws(keyed, "s3", "presign", "s3://labs/plain.txt").strip()
    assert "Signature=" in link
