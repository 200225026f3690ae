"""`sidegate bench s3` from the command line, against our gateway and against one that misbehaves."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from memory_s3 import MemoryS3

from sidegate.cli.bench_options import check_files
from sidegate.cli.main import sidegate
from sidegate.errors import Invalid
from sidegate.gateway.authorization import require_keys
from sidegate.gateway.general import GeneralNamespace
from sidegate.gateway.serving import GatewayThread, Options
from sidegate.native import describe
from sidegate.pfs.store import Store

SHORT = ("--scale", "smoke", "--duration", "20ms", "--rounds", "1", "--concurrency", "2")
CELLS, COUNT = (
    ("*", 21) if describe().implementation == "native" else ("head,get-4k,range-*,list-*,put-4k", 7)
)
"""In plain Python the gateway takes longer to cut megabytes than a run waits for an answer."""

Bench = Callable[..., Result]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))

    def run(*words: str) -> Result:
        return CliRunner().invoke(sidegate, ["bench", "s3", *words])

    return run


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    Store.create(tmp_path / ".sidegate")
    with Store.open(tmp_path / ".sidegate") as opened:
        yield opened


@pytest.fixture
def serve() -> Iterator[Callable[..., MemoryS3]]:
    servers: list[MemoryS3] = []

    def start(*faults: str) -> MemoryS3:
        servers.append(MemoryS3(*faults))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def results(path: Path) -> dict[str, Any]:
    return {result["cell"]: result for result in json.loads(path.read_text())["results"]}


@pytest.mark.parametrize("sign", ["presigned", "header", "none"])
def test_every_cell_is_answered_right_by_our_gateway(
    bench: Bench, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sign: str
) -> None:
    authorize = None if sign == "none" else require_keys({"lab": "lab-secret"}, store.clock)
    thread = GatewayThread(store, GeneralNamespace(store), Options(authorize=authorize))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "lab")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "lab-secret")
    try:
        done = bench(
            f"ours={thread.endpoint}", *SHORT, "--sign", sign, "--json", "run.json", "--html", "run.html",
            "--pid", f"ours={os.getpid()}", "--cells", CELLS,
        )  # fmt: skip
    finally:
        thread.close()
    assert done.exit_code == 0, done.output
    found = results(tmp_path / "run.json")
    assert len(found) == COUNT
    for name, result in found.items():
        assert result["failures"] == 0, (name, result["examples"])
        assert result["value"] > 0, name
        assert result["resident_bytes"] > 0 or name == "complete-64m"
    assert "GET 64 KiB range" in done.stdout
    assert "</html>" in (tmp_path / "run.html").read_text()
    # No commit was made of it, so even the bucket is gone.
    assert store.repos.list() == []


def test_it_leaves_nothing_behind(bench: Bench, serve: Callable[..., MemoryS3]) -> None:
    server = serve()
    done = bench(server.url, *SHORT, "--sign", "none", "--cells", "head,get-4k,put-*k,part-copy-64m,copy-64m")
    assert done.exit_code == 0, done.output
    assert server.buckets == {}
    assert server.uploads == {}
    assert len([request for request in server.requests if request.startswith("PUT /sidegate-bench-")]) > 40


def test_what_a_cell_wrote_is_gone_before_the_next_begins(
    bench: Bench, serve: Callable[..., MemoryS3]
) -> None:
    server = serve()
    done = bench(server.url, *SHORT, "--sign", "none", "--cells", "put-4k,put-1m")
    assert done.exit_code == 0, done.output
    put = [index for index, asked in enumerate(server.requests) if "/written/put-" in asked]
    later = [index for index in put if "/written/put-1m/" in server.requests[index]]
    deletes = [index for index, asked in enumerate(server.requests) if asked.startswith("POST")]
    assert any(put[0] < index < later[0] for index in deletes)
    assert server.buckets == {}


def test_what_cannot_be_removed_is_said_at_the_end(bench: Bench, serve: Callable[..., MemoryS3]) -> None:
    server = serve("keeps buckets")
    done = bench(server.url, *SHORT, "--sign", "none", "--cells", "head")
    (bucket,) = server.buckets
    assert done.exit_code == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("LEFT BEHIND: ")
    assert f"the bucket {bucket} is left behind: 409" in last


def test_a_server_that_lists_no_uploads_is_cleaned_all_the_same(
    bench: Bench, serve: Callable[..., MemoryS3]
) -> None:
    server = serve("no listing of uploads")
    done = bench(server.url, *SHORT, "--sign", "none", "--cells", "get-4k,part-copy-64m,copy-64m")
    assert done.exit_code == 0, done.output
    assert server.buckets == {}
    assert "LEFT BEHIND" not in done.stderr


def test_a_server_that_only_says_it_deletes_is_not_asked_for_ever(
    bench: Bench, serve: Callable[..., MemoryS3]
) -> None:
    server = serve("keeps objects")
    done = bench(server.url, *SHORT, "--sign", "none", "--cells", "get-4k")
    assert "takes deletions in sidegate-bench-" in done.stderr
    assert "LEFT BEHIND" in done.stderr


def test_a_server_that_is_not_there_is_noticed_before_others_are_loaded(
    bench: Bench, serve: Callable[..., MemoryS3]
) -> None:
    server = serve()
    done = bench(server.url, "x=http://127.0.0.1:1", *SHORT, "--sign", "none", "--cells", "get-4k")
    assert "x (http://127.0.0.1:1) does not answer" in done.stderr
    assert "loading" not in done.stderr
    assert server.buckets == {}


@pytest.mark.parametrize("option", ["--json", "--html"])
@pytest.mark.parametrize(
    ("name", "why"),
    [(".", "Is a directory"), ("a-file/run", "exists|Not a directory"), ("/proc/x/run", "No such")],
)
def test_files_that_cannot_be_written_are_refused_before_the_run(
    bench: Bench, serve: Callable[..., MemoryS3], tmp_path: Path, option: str, name: str, why: str
) -> None:
    (tmp_path / "a-file").touch()
    server = serve()
    done = bench(server.url, *SHORT, "--sign", "none", "--cells", "head", option, name)
    assert done.exit_code == 2
    assert re.search(rf"{option} {re.escape(name)} cannot be written: .*({why})", done.stderr)
    assert server.requests == []


def test_files_are_looked_at_and_left_as_they_are(tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "folder" / "new.html"
    old.write_text("kept")
    check_files(json=old, html=new)
    assert old.read_text() == "kept"
    assert not new.exists()
    with pytest.raises(Invalid, match="--json and --html name the same file"):
        check_files(json=old, html=old)


def test_a_pipe_is_not_opened_before_the_run(tmp_path: Path) -> None:
    """Its reader would see the end of it, and without a reader nothing would happen."""
    os.mkfifo(tmp_path / "fifo")
    check_files(json=tmp_path / "fifo")


@pytest.mark.parametrize("option", ["--json", "--html"])
def test_an_empty_name_of_a_file_is_refused(bench: Bench, option: str) -> None:
    done = bench("http://127.0.0.1:1", option, "")
    assert done.exit_code == 2
    assert f"Invalid value for '{option}': the name of the file is empty" in done.stderr


@pytest.mark.parametrize(
    ("name", "meant"), [("GET-4K", "get-4k"), ("GET 4 KiB", "get-4k"), ("get4k", "get-4k"), ("Head", "head")]
)
def test_a_cell_that_is_misspelt_is_suggested(bench: Bench, name: str, meant: str) -> None:
    done = bench("http://127.0.0.1:1", "--cells", name)
    assert done.exit_code != 0
    assert f"no cell is called {name!r}" in done.stderr
    assert f"did you mean {meant}" in done.stderr


def test_two_servers_stand_side_by_side(bench: Bench, serve: Callable[..., MemoryS3], tmp_path: Path) -> None:
    one, other = serve(), serve()
    done = bench(
        f"one={one.url}",
        f"other={other.url}",
        *SHORT,
        "--sign",
        "none",
        "--cells",
        "get-4k",
        "--json",
        "a.json",
    )
    assert done.exit_code == 0, done.output
    assert "other" in done.stdout
    assert "x" in done.stdout.splitlines()[2]
    compared = bench("--compare", "a.json", "a.json")
    assert compared.exit_code == 0
    assert compared.stdout.count("same") == 2


@pytest.mark.parametrize(
    ("fault", "cells", "shown"),
    [
        ("wrong bytes", "get-4k", "wrong or missing"),
        ("wrong large bytes", "get-8m", "the answer is not what was stored"),
        ("sometimes busy", "get-4k", "SlowDown"),
        ("no completion", "multipart-64m", "InternalError"),
    ],
)
def test_wrong_answers_are_shown_and_fail_it(
    bench: Bench, serve: Callable[..., MemoryS3], fault: str, cells: str, shown: str
) -> None:
    server = serve(fault)
    done = bench(server.url, *SHORT, "--sign", "none", "--cells", cells)
    assert done.exit_code == 1, done.output
    assert shown in done.stderr
    assert "WRONG" in done.stdout
    assert server.buckets == {}
    assert server.uploads == {}


@pytest.mark.parametrize(
    ("fault", "code", "message"),
    [
        ("no buckets", 1, "does not let this run make a bucket: 403 AccessDenied"),
        ("read-only", 2, "takes no writes into bucket"),
        ("write-only", 2, "does not give them back"),
    ],
)
def test_a_server_that_cannot_be_measured_is_said_so(
    bench: Bench, serve: Callable[..., MemoryS3], fault: str, code: int, message: str
) -> None:
    server = serve(fault)
    done = bench(server.url, *SHORT, "--sign", "none")
    assert done.exit_code == code
    assert message in done.stderr
    assert "Traceback" not in done.output
    assert server.buckets == {}


def test_a_bucket_that_is_there_is_not_touched(bench: Bench, serve: Callable[..., MemoryS3]) -> None:
    server = serve()
    server.buckets["mine"] = {"precious": b"1", "small/000000.bin": b"mine"}
    words = (server.url, *SHORT, "--sign", "none", "--cells", "get-4k,list-1000,put-4k", "--bucket", "mine")
    refused = bench(*words)
    assert refused.exit_code == 4
    assert "that this run did not make" in refused.stderr
    done = bench(*words, "--use-existing")
    assert done.exit_code == 0, done.output
    assert server.buckets == {"mine": {"precious": b"1", "small/000000.bin": b"mine"}}


def test_objects_that_were_not_asked_for_are_not_deleted(
    bench: Bench, serve: Callable[..., MemoryS3]
) -> None:
    server = serve("ignores prefixes")
    server.buckets["mine"] = {"precious": b"1"}
    words = ("--sign", "none", "--cells", "get-4k", "--bucket", "mine", "--use-existing")
    done = bench(server.url, *SHORT, *words)
    assert done.exit_code == 1
    assert "lists 'precious': nothing is deleted" in done.stderr
    assert server.buckets["mine"]["precious"] == b"1"


def test_versions_are_removed_as_well(bench: Bench, serve: Callable[..., MemoryS3]) -> None:
    server = serve()
    server.buckets["mine"], mine = {"precious": b"1"}, {("precious", "version-x"), ("precious", "marker-y")}
    server.versions["mine"] = set(mine)
    words = ("--sign", "none", "--cells", "put-4k", "--bucket", "mine", "--use-existing")
    done = bench(server.url, *SHORT, *words)
    assert done.exit_code == 0, done.output
    assert server.buckets["mine"] == {"precious": b"1"}
    assert server.versions["mine"] == mine
    assert len(server.requests) > 50


def test_a_server_that_deletes_one_by_one_is_cleaned(bench: Bench, serve: Callable[..., MemoryS3]) -> None:
    server = serve("deletes one by one")
    done = bench(server.url, *SHORT, "--sign", "none", "--cells", "get-4k,put-4k")
    assert done.exit_code == 0, done.output
    assert server.buckets == {}
    assert len([asked for asked in server.requests if asked.startswith("POST")]) == 2  # one a client


def test_a_server_that_is_busy_at_times_is_loaded(bench: Bench, serve: Callable[..., MemoryS3]) -> None:
    server = serve("busy with writes")
    done = bench(server.url, *SHORT, "--sign", "none", "--cells", "get-4k,list-1000")
    assert done.exit_code == 0, done.output
    assert server.buckets == {}


def test_a_server_that_stays_busy_is_given_up(
    bench: Bench, serve: Callable[..., MemoryS3], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidegate.bench.loading.PAUSES_SECONDS", (0.01, 0.01))
    server = serve("too busy for pages")
    done = bench(f"busy={server.url}", *SHORT, "--sign", "none", "--cells", "list-1000")
    assert done.exit_code == 1
    assert re.search(r"busy did not take PUT /\S+group\S+: HTTP/1\.1 503", done.stderr)
    assert server.buckets == {}


def test_two_labels_of_one_server_share_a_named_bucket(bench: Bench, serve: Callable[..., MemoryS3]) -> None:
    server = serve()
    done = bench(
        f"a={server.url}", f"b={server.url}", *SHORT, "--sign", "none", "--cells", "head", "--bucket", "new"
    )
    assert done.exit_code == 0, done.output
    assert server.buckets == {}


def test_a_server_that_does_not_say_whether_a_bucket_is_there(
    bench: Bench, serve: Callable[..., MemoryS3]
) -> None:
    server = serve("refuses names")
    done = bench(server.url, *SHORT, "--sign", "none", "--cells", "head", "--bucket", "Some_Name")
    assert done.exit_code == 1
    assert "does not say whether there is a bucket 'Some_Name': 400" in done.stderr
    assert server.buckets == {}


def test_what_fails_before_the_first_round_counts(bench: Bench, serve: Callable[..., MemoryS3]) -> None:
    server = serve("busy at first")
    done = bench(server.url, *SHORT, "--sign", "none", "--cells", "head", "--rounds", "2")
    assert done.exit_code == 1
    assert "WRONG: HEAD 4 KiB" in done.stderr
    assert "HTTP/1.1 503" in done.stderr


def test_files_that_cannot_be_written_are_named(
    bench: Bench, serve: Callable[..., MemoryS3], tmp_path: Path
) -> None:
    page = tmp_path / "run.html"
    words = (serve().url, *SHORT, "--sign", "none", "--cells", "head")
    done = bench(*words, "--json", "/dev/full", "--html", str(page))
    assert done.exit_code == 1
    assert "--json /dev/full could not be written: No space left on device" in done.stderr
    assert page.read_text().endswith("</html>\n")


def test_a_named_bucket_is_made_and_removed(bench: Bench, serve: Callable[..., MemoryS3]) -> None:
    server = serve()
    done = bench(server.url, *SHORT, "--sign", "none", "--cells", "put-4k", "--bucket", "new")
    assert done.exit_code == 0, done.output
    assert server.buckets == {}
    assert any(request.startswith("PUT /new/written/put-4k/") for request in server.requests)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda one: one.name)
def test_an_interrupt_cleans_up(
    serve: Callable[..., MemoryS3], tmp_path: Path, number: signal.Signals
) -> None:
    server = serve()
    lines = interrupted(tmp_path, server, number, lambda: bool(server.uploads))
    assert lines[-1] == "error: interrupted"
    assert server.buckets == {}
    assert server.uploads == {}


@pytest.mark.parametrize("what", ["bucket", "object"])
def test_an_interrupt_cleans_up_what_is_just_being_made(
    serve: Callable[..., MemoryS3], tmp_path: Path, what: str
) -> None:
    server = serve(f"slow PUT {what}")
    lines = interrupted(tmp_path, server, signal.SIGTERM, server.slow.is_set)
    assert lines[-1] == "error: interrupted"
    if what == "object":
        assert server.buckets == {}
    else:  # it may be made when the run is over
        assert re.search(r"was asked to make the bucket sidegate-bench-\w+ and has not answered", lines[0])


def test_a_second_interrupt_leaves_the_rest_and_says_so(
    serve: Callable[..., MemoryS3], tmp_path: Path
) -> None:
    server = serve("slow POST bucket")  # of deletions
    lines = interrupted(
        tmp_path, server, signal.SIGINT, lambda: bool(server.uploads), then=server.slow.is_set
    )
    (bucket,) = server.buckets
    assert lines[-1] == "error: interrupted"
    assert any(f"{bucket} is left behind: interrupted while it was being" in line for line in lines)


def interrupted(
    folder: Path,
    server: MemoryS3,
    number: signal.Signals,
    when: Callable[[], bool],
    *,
    then: Callable[[], bool] | None = None,
) -> list[str]:
    """Interrupt a run, and once more if that is said; returns the lines that it printed for a person."""
    command = [
        sys.executable, "-m", "sidegate", "bench", "s3", server.url, "--scale", "smoke", "--sign", "none",
        "--cells", "part-copy-64m", "--duration", "60s",
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        for moment in (when, then):
            deadline = time.monotonic() + 60
            while moment is not None and time.monotonic() < deadline and process.poll() is None:
                if moment():
                    process.send_signal(number)
                    break
                time.sleep(0.01)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, said
    return said.decode().splitlines()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "name at least one server"),
        (("https://x",), "TLS is not measured"),
        (("http://127.0.0.1:1",), "there are no keys to sign with"),
        (("http://127.0.0.1:1", "--sign", "none"), "does not answer"),
        (("http://x", "--cells", "nope", "--sign", "none"), "no cell is called 'nope'"),
        (("http://x", "--cells", " , ", "--sign", "none"), "--cells names no cell"),
        (("http://x/bucket", "--sign", "none"), "it has a path: '/bucket'"),
        (("http://x", "--cells", "range-64", "--sign", "none"), "did you mean range-64k"),
        (("http://x", "--bucket", "a/b?c", "--sign", "none"), "--bucket 'a/b?c' is no name of a bucket"),
        (("http://[::1", "--sign", "none"), "'http://[::1' is no endpoint"),
        (("http://x", "--duration", "0s"), "out of bounds"),
        (("http://x", "--duration", "1us"), "use 1ms to 300s"),
        (("a=http://x", "--sign", "none", "--pid", "a=1", "--pid", "a=2"), "--pid names 'a' twice: 1 and 2"),
        (("http://x", "--sign", "none", "--pid", "y=1"), "--pid names no endpoint: 'y'"),
        (("http://x", "--sign", "none", "--pid", "x"), "LABEL=PID"),
        (("http://x", "--sign", "none", "--use-existing"), "says nothing without --bucket"),
        (("http://x", "--profile", "nope"), "no profile 'nope'"),
        (("a=http://x", "a=http://y"), "two endpoints are called 'a'"),
        (("--compare", "one.json", "two.json"), "there is no file 'one.json'"),
        (("--compare", "one.json"), "requires 2 arguments; see `sidegate bench s3 --help`"),
        (("http://x", "--compare", "one.json", "two.json"), "leave out '[LABEL=]URL...'"),
        (("--compare", "one.json", "two.json", "--html", "c.html"), "leave out '--html'"),
    ],
)
def test_bad_usage_is_one_sentence(bench: Bench, words: tuple[str, ...], message: str) -> None:
    done = bench(*words)
    assert done.exit_code not in (0, 70)
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_cells_are_listed(bench: Bench) -> None:
    done = bench("--list-cells")
    assert done.exit_code == 0
    assert "range-64k" in done.stdout
    assert "get-4k-open" not in done.stdout
