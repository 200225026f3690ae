"""`sidegate serve`, `doctor`, `version`, `gc` and `fsck`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sidegate.errors import Invalid
from sidegate.pfs.store import Store
from sidegate.version import VERSION

# -- serve -----------------------------------------------------------------


@contextmanager
def serving(directory: Path, *words: str, **variables: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Serve the store in `directory`; yields the endpoint and the process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sidegate", "serve", "--address", "127.0.0.1:0", "--json", *words],
        cwd=directory,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["endpoint"], process
        process.kill()


def put(url: str, data: bytes) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, data, method="PUT")) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("http", ["auto", "asyncio"])
def test_serve_says_where_and_stops_when_asked(run, tmp_path: Path, number: int, http: str) -> None:
    with serving(tmp_path, SIDEGATE_HTTP=http) as (endpoint, process):
        with urllib.request.urlopen(f"{endpoint}/-/health") as answer:
            assert answer.status == 200
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, b"")
    assert b"Ctrl-C stops" in err
    assert b"Traceback" not in err


def test_what_is_written_over_s3_is_finished_by_command(run, tmp_path: Path) -> None:
    with serving(tmp_path, "--finish-after", "never") as (endpoint, _):
        put(f"{endpoint}/master.labs/x", b"over S3")
        assert run("branch", "inspect", "labs@master", "--json").row["open"] is True
        finished = run("commit", "finish", "labs@master", "--json").row
        assert finished["files"] == 1
    assert run("file", "cat", "labs:/x").out == "over S3"


def test_etags_are_md5_where_asked(run, tmp_path: Path) -> None:
    with serving(tmp_path, "--etag", "md5") as (endpoint, _):
        put(f"{endpoint}/labs/x", b"hello")
        with urllib.request.urlopen(f"{endpoint}/labs/x") as answer:
            assert answer.headers["etag"] == '"5d41402abc4b2a76b9719d911017c592"'


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--address", "0.0.0.0:0"], 4, "serving on 0.0.0.0 without keys would let anyone"),
        (["--address", "127.0.0.1:x"], 2, "address '127.0.0.1:x' is not valid; use HOST:PORT"),
        (["--address", "127.0.0.1:70000"], 2, "is not valid"),
        (["--address", "localhost"], 2, "'localhost' has no port; use localhost:PORT, with 0 for a free one"),
        (["--domain", ""], 2, "--domain '' is no host name; use a name such as"),
        (["--domain", "http://x"], 2, "--domain 'http://x' is no host name"),
        (["--domain", "a..b"], 2, "--domain 'a..b' is no host name"),
        (["--domain", "127.0.0.1"], 2, "--domain '127.0.0.1' is no host name"),
        (["--finish-after", "soon"], 2, "'soon' is not a time such as 5s, 2m or 1h30m"),
        (["--finish-after", "0s"], 2, "'0s' is not above zero"),
        (["--durability", "none"], 2, "'none' is not one of"),
    ],
)
def test_serve_refuses(run, words: list[str], code: int, message: str) -> None:
    outcome = run("serve", *words)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.error


def test_half_a_key_is_refused(run, monkeypatch) -> None:
    monkeypatch.setenv("SIDEGATE_ACCESS_KEY", "lab")
    outcome = run("serve", "--address", "127.0.0.1:0")
    assert outcome.code == 2
    assert (
        outcome.error
        == "SIDEGATE_SECRET_KEY is not set, and the other half of the key is; set both or neither"
    )


def test_serve_that_ends_names_what_no_commit_holds(run, tmp_path: Path) -> None:
    with serving(tmp_path, "--finish-after", "never") as (endpoint, process):
        put(f"{endpoint}/labs/x", b"hello")
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert said.decode().splitlines()[-2:] == [
        "stopped",
        "labs@master has writes that no commit holds yet; `sidegate commit finish labs@master` makes one",
    ]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_address_that_is_taken_is_said_so(run, workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = run("serve", "--address", f"127.0.0.1:{port}", "--workers", workers)
    assert outcome.code == 1
    said = f"cannot listen on 127.0.0.1 port {port}: Address already in use; choose another address or port"
    assert outcome.error == said


# -- doctor and version ------------------------------------------------------


def test_doctor_looks_at_everything(run, store_directory: Path) -> None:
    found = run("doctor", "--json")
    assert found.code == 0
    assert found.row["ok"] is True
    checks = found.row["checks"]
    assert set(checks) == {"python", "native", "http", "libraries", "store", "jobs", "files"}
    assert checks["store"]["path"] == str(store_directory)
    assert checks["store"]["format"] == 1
    assert checks["native"]["implementation"] in ("native", "pure")
    assert {"blake3", "zstandard", "isal", "awscrt"} <= set(checks["libraries"])
    assert isinstance(checks["jobs"]["private_tmp"], bool)
    shown = run("doctor").out
    assert all(name in shown for name in checks)
    assert VERSION in shown


def test_doctor_without_a_store_is_sound(bare_run) -> None:
    found = bare_run("doctor", "--json")
    assert (found.code, found.row["checks"]["store"]["path"]) == (0, None)


@pytest.mark.parametrize(
    ("target", "error", "check"),
    [
        ("sidegate.native.describe", Invalid("SIDEGATE_NATIVE='x' is not a mode"), "native"),
        ("sidegate.http.loops.describe", ImportError("no h11"), "http"),
        ("sidegate.pps.isolation.probe_isolation", OSError("no fork"), "jobs"),
    ],
)
def test_doctor_fails_when_something_is_broken(
    run, monkeypatch, target: str, error: Exception, check: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(target, fail)
    found = run("doctor", "--json")
    assert (found.code, found.row["ok"]) == (1, False)
    assert found.row["checks"][check]["state"] == "broken"
    assert [name for name, one in found.row["checks"].items() if one["state"] == "broken"] == [check]
    assert "✗" in run("doctor").out


def test_doctor_fails_for_a_store_that_was_named_and_is_not_there(bare_run) -> None:
    found = bare_run("doctor", "--store", "none", "--json")
    assert (found.code, found.row["checks"]["store"]["state"]) == (1, "broken")


def test_doctor_fails_for_a_library_that_does_not_load(run, monkeypatch) -> None:
    monkeypatch.setattr("sidegate.cli.checks.LIBRARIES", {"blake3": "no_such_module"})
    found = run("doctor", "--json")
    assert (found.code, found.row["checks"]["libraries"]["state"]) == (1, "broken")
    assert "blake3 does not load" in found.row["checks"]["libraries"]["text"]


def test_doctor_warns_of_few_descriptors(run, monkeypatch) -> None:
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, 512))
    found = run("doctor", "--json")
    assert (found.code, found.row["checks"]["files"]["state"]) == (0, "warning")
    assert "512 open at once" in run("doctor").out
    assert "ulimit -Hn" in run("doctor").out


def test_doctor_is_content_where_a_gateway_may_allow_itself_more(run, monkeypatch) -> None:
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, 4096))
    assert run("doctor", "--json").row["checks"]["files"] == {
        "state": "ok",
        "text": "a gateway may have 4096 open at once",
        "soft": 256,
        "hard": 4096,
    }


def test_version_says_which_loops_are_active(bare_run) -> None:
    row = bare_run("version", "--json").row
    assert row["version"] == VERSION
    assert row["native"]["implementation"] in ("native", "pure")
    assert bare_run("version").out.startswith(f"sidegate {VERSION} (")
    assert bare_run("--version").out == f"sidegate {VERSION}\n"


# -- gc and fsck ---------------------------------------------------------------


def pack(directory: Path) -> Path:
    return max((directory / "packs").rglob("*.pack"), key=lambda path: path.stat().st_size)


@pytest.fixture
def filled(run, tmp_path: Path):
    (tmp_path / "noise").write_bytes(os.urandom(300_000))
    run("file", "put", "noise", "labs")
    return run


def test_gc_gives_back_space_in_two_rounds(filled) -> None:
    filled("repo", "delete", "labs")
    first = filled("gc", "--window", "0", "--json").row
    assert first["chunks_condemned"] > 0
    second = filled("gc", "--window", "0", "--json").row
    assert second["bytes_reclaimed"] > 300_000
    shown = filled("gc")
    assert (shown.code, shown.out[:9]) == (0, "gave back")


def test_gc_keeps_what_is_used(filled) -> None:
    for _ in range(2):
        assert filled("gc", "--window", "0").code == 0
    assert filled("file", "ls", "labs:/noise", "--json").row["size"] == 300_000
    assert filled("fsck").code == 0


def test_gc_says_what_goes_next(filled) -> None:
    filled("repo", "delete", "labs")
    assert "will go in the next round" in filled("gc", "--window", "0").err


def test_gc_refuses_a_window_that_is_none(run) -> None:
    outcome = run("gc", "--window", "soon")
    assert outcome.code == 2
    assert "'soon' is not a time" in outcome.error


def test_fsck_of_a_sound_store(filled) -> None:
    row = filled("fsck", "--json").row
    assert (row["clean"], row["findings"], row["commits"], row["files"]) == (True, [], 1, 1)
    assert filled("fsck", "--quick").out.startswith("nothing is wrong in 1 commit, 1 file, ")


def test_fsck_names_the_files_that_lost_bytes(filled, store_directory: Path) -> None:
    commit = filled("commit", "inspect", "labs", "--json").row["commit"]
    path = pack(store_directory)
    damaged = bytearray(path.read_bytes())
    damaged[150_000] ^= 1
    path.write_bytes(damaged)
    found = filled("fsck", "--json")
    assert (found.code, found.row["clean"]) == (5, False)
    referrers = [name for one in found.row["findings"] for name in one["referrers"]]
    assert f"labs@{commit}:/noise" in referrers
    shown = filled("fsck")
    assert shown.code == 5
    assert f"needed by labs@{commit}:/noise" in shown.out
    assert "`sidegate fsck --repair`" in shown.err


def test_fsck_repairs_the_index_from_the_packs(filled, store_directory: Path) -> None:
    from sidegate.pfs.catalog.schema import CHUNKS

    with Store.open(store_directory) as store:
        store.database.write(lambda connection: connection.execute(CHUNKS.delete()))
    assert filled("fsck").code == 5
    repaired = filled("fsck", "--repair")
    assert repaired.code == 0
    assert "repaired: " in repaired.out
    assert "nothing is wrong" in repaired.out
