"""`sidegate run`, `job` and `provenance`, with real processes and gateways."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SPEC: dict[str, Any] = {
    "pipeline": {"name": "shout"},
    "description": "In capitals",
    "input": {"pfs": {"repo": "labs", "glob": "/"}},
    "transform": {"cmd": ["sh", "shout.sh"]},
}
"""No S3: the job reads and writes files, so that a run takes little."""

SCRIPT = """
echo "to stdout"; echo "to stderr" >&2
for file in $(cd $PFS_ROOT/labs && find . -type f); do
    mkdir -p $(dirname $PFS_ROOT/out/$file)
    tr a-z A-Z < $PFS_ROOT/labs/$file > $PFS_ROOT/out/$file
done
"""

LIST_BUCKETS = """
import os, urllib.request
print(urllib.request.urlopen(os.environ["S3_ENDPOINT"] + "/").read().decode())
"""


PUT_FIVE = """
import os, urllib.request
for number in range(5):
    url = f"{os.environ['S3_ENDPOINT']}/out/{number}"
    urllib.request.urlopen(urllib.request.Request(url, data=b"content %d" % number, method="PUT"))
"""


def write_spec(**changes: Any) -> str:
    Path("spec.json").write_text(json.dumps(SPEC | changes))
    return "spec.json"


def fails(*words: str, **changes: Any) -> dict[str, Any]:
    return {"transform": {"cmd": list(words)}, "datum_tries": 1, **changes}


@pytest.fixture
def filled(run, data: Path):
    Path("shout.sh").write_text(SCRIPT)
    run("file", "put", data, "labs")
    return run


def head(run, version: str) -> str:
    return run("commit", "inspect", version, "--json").row["commit"]


# -- run -----------------------------------------------------------------


def test_a_job_that_succeeds_prints_its_commit(filled) -> None:
    done = filled("run", write_spec())
    assert (done.code, done.out) == (0, head(filled, "shout@master") + "\n")
    assert "to stdout\n" in done.err
    assert "to stderr\n" in done.err
    assert re.search(
        r"\nSUCCESS after .* s: 3 files, 31 bytes in shout@master; see `sidegate provenance", done.err
    )
    assert filled("file", "cat", "shout:/sub/b.csv").out == "SUB/B.CSV\n"


def test_run_says_all_of_the_job_as_json(filled) -> None:
    done = filled("run", write_spec(), "--json")
    job = done.row
    assert (job["state"], job["reason"], job["attempts"]) == ("SUCCESS", None, 1)
    assert (job["pipeline"], job["pipeline_version"]) == ("shout", 1)
    (given,) = job["inputs"]
    assert (
        given | {"name": "labs", "repo": "labs", "branch": "master", "commit": head(filled, "labs")} == given
    )
    assert job["output"] == {"repo": "shout", "branch": "master", "commit": head(filled, "shout")}
    assert job["created"] <= job["started"] <= job["finished"]
    assert filled("job", "inspect", job["job"], "--json").row == job


def test_a_job_with_s3_sees_its_buckets(filled) -> None:
    Path("list.py").write_text(LIST_BUCKETS)
    spec = write_spec(
        input={"pfs": {"repo": "labs", "glob": "/", "s3": True}},
        s3_out=True,
        transform={"cmd": [sys.executable, "list.py"]},
    )
    done = filled("run", spec, "--json")
    assert (done.code, done.row["state"]) == (0, "SUCCESS")
    assert "<Name>labs</Name>" in done.err
    assert "<Name>out</Name>" in done.err


@pytest.mark.parametrize(("durability", "waits_for_each"), [("process", False), ("disk", True)])
def test_durability_says_what_each_write_waits_for(
    filled, monkeypatch, durability: str, waits_for_each: bool
) -> None:
    """The commit waits for the disk either way; five writes, one after another, wait only with `disk`."""
    Path("put.py").write_text(PUT_FIVE)
    spec = write_spec(s3_out=True, transform={"cmd": [sys.executable, "put.py"]})
    synced: list[int] = []
    fdatasync = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (synced.append(fd), fdatasync(fd)))
    assert filled("run", spec, "--durability", durability).code == 0
    assert synced
    assert (len(synced) >= 5) is waits_for_each, synced


def test_a_spec_can_be_yaml_on_the_standard_input(filled) -> None:
    text = "pipeline: {name: shout}\ninput: {pfs: {repo: labs, glob: /}}\ntransform: {cmd: [sh, shout.sh]}\n"
    done = filled("run", "-", "--json", stdin=text.encode())
    assert done.row["state"] == "SUCCESS"


def test_a_job_that_fails_leaves_no_commit(filled) -> None:
    done = filled("run", write_spec(**fails("sh", "-c", "exit 3")), "--json")
    assert done.code == 1
    assert (done.row["state"], done.row["output"], done.row["attempts"]) == ("FAILURE", None, 1)
    assert "exit code 3" in done.row["reason"]
    assert f"no commit was made; see `sidegate job inspect {done.row['job']}`" in done.err
    assert filled("commit", "list", "shout", "--json").rows == []


def test_an_input_without_a_commit_cannot_run(run) -> None:
    done = run("run", write_spec(), "--json")
    assert (done.code, done.row["state"]) == (1, "UNRUNNABLE")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"input": {"pfs": {"repo": "none", "glob": "/"}}},
            'input.pfs.repo is "none": there is no such repo',
        ),
        ({"input": {"pfs": {"repo": "labs", "glob": "/*", "s3": True}}}, 'input.pfs.glob is "/*"'),
        ({"pipeline": {"name": "labs"}}, 'pipeline.name is "labs"'),
        ({"egress": {"URL": "s3://x"}}, "egress"),
        ({"pipelin": {}}, "pipelin"),
    ],
)
def test_a_spec_that_breaks_a_rule_is_refused(filled, changes: dict[str, Any], message: str) -> None:
    done = filled("run", write_spec(**changes), "--json")
    assert (done.code, done.out) == (2, "")
    assert message in done.error
    assert filled("job", "list", "--json").rows == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not valid JSON"),
        (b"\xff{}", "'bad.json' is not UTF-8 at byte 0"),
        (None, "no pipeline spec 'bad.json'"),
    ],
)
def test_a_spec_that_cannot_be_read_is_refused(filled, content: bytes | None, message: str) -> None:
    if content is not None:
        Path("bad.json").write_bytes(content)
    done = filled("run", "bad.json")
    assert (done.code, done.out) == (2, "")
    assert message in done.error


@pytest.mark.parametrize(
    ("words", "message"),
    [(["--out-policy", "all"], "'all' is not one of"), (["--durability", "none"], "'none' is not one of")],
)
def test_run_refuses_what_it_does_not_know(filled, words: list[str], message: str) -> None:
    done = filled("run", write_spec(), *words)
    assert done.code == 2
    assert message in done.error


def test_an_unknown_http_choice_is_refused(filled, monkeypatch) -> None:
    monkeypatch.setenv("SIDEGATE_HTTP", "twisted")
    done = filled("run", write_spec())
    assert done.code == 2
    assert done.error == "SIDEGATE_HTTP='twisted' is not a choice; use one of auto, uvloop, asyncio"


def start_run(tmp_path: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start a job that waits; return its process, and its id once it runs."""
    Path("wait.sh").write_text("echo ready; exec sleep 60")
    spec = write_spec(**fails("sh", "wait.sh"))
    process = subprocess.Popen(
        [sys.executable, "-m", "sidegate", "run", spec, "--json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line == b"ready\n":
            break
    (job,) = (tmp_path / ".sidegate/logs").glob("*.jsonl")
    return process, job.stem


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_job_and_leaves_nothing(filled, tmp_path: Path, number: signal.Signals) -> None:
    process, job = start_run(tmp_path)
    with process:
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert json.loads(out)["state"] == "KILLED"
    assert b"Traceback" not in err
    assert filled("job", "inspect", job, "--json").row["state"] == "KILLED"
    assert filled("commit", "list", "shout", "--json").rows == []


# -- job -----------------------------------------------------------------


def test_job_stop_ends_a_job(filled, tmp_path: Path) -> None:
    process, job = start_run(tmp_path)
    with process:
        stopped = filled("job", "stop", job[:12])
        out, _ = process.communicate(timeout=60)
    assert (stopped.code, stopped.out) == (0, "")
    assert f"asked job {job} to stop" in stopped.err
    assert (process.returncode, json.loads(out)["state"]) == (1, "KILLED")
    again = filled("job", "stop", job)
    assert again.code == 4
    assert again.error == f"job {job} has ended: KILLED"


def test_logs_are_followed_to_the_end(filled, tmp_path: Path) -> None:
    process, job = start_run(tmp_path)
    with process:
        following = subprocess.Popen(
            [sys.executable, "-m", "sidegate", "job", "logs", "-f", job], cwd=tmp_path, stdout=subprocess.PIPE
        )
        with following:
            assert following.stdout is not None
            seen = following.stdout.readline()
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
            rest, _ = following.communicate(timeout=60)
    assert b"ready\n" in seen + rest
    assert b"KILLED" in rest
    assert following.returncode == 0


def test_a_job_whose_runner_was_killed_is_settled(filled, tmp_path: Path) -> None:
    process, job = start_run(tmp_path)
    with process:
        process.kill()
        process.communicate(timeout=60)
    row = filled("job", "list", "--json").row
    assert (row["job"], row["state"]) == (job, "KILLED")


def test_jobs_are_listed_newest_first(filled) -> None:
    first = filled("run", write_spec(), "--json").row["job"]
    second = filled("run", write_spec(**fails("false")), "--json").row["job"]
    rows = filled("job", "list", "--json").rows
    assert [row["job"] for row in rows] == [second, first]
    assert [row["pipeline_version"] for row in rows] == [2, 1]
    assert [row["job"] for row in filled("job", "list", "-n", "1", "--json").rows] == [second]
    assert filled("job", "list", "-p", "other", "--json").rows == []
    shown = filled("job", "list").out
    assert "FAILURE" in shown
    assert head(filled, "shout") in shown


def test_logs_keep_what_the_job_printed(filled) -> None:
    job = filled("run", write_spec(), "--json").row["job"]
    rows = filled("job", "logs", job, "--json").rows
    by_stream = {row["stream"]: row["text"] for row in rows if row["stream"] != "sidegate"}
    assert by_stream == {"stdout": "to stdout", "stderr": "to stderr"}
    assert all(set(row) == {"time", "stream", "datum", "attempt", "text"} for row in rows)
    printed = filled("job", "logs", job[:8]).out
    assert "to stdout\n" in printed
    assert f"[sidegate] job {job}: SUCCESS\n" in printed


def test_inspect_shows_what_was_run(filled) -> None:
    job = filled("run", write_spec(), "--json").row["job"]
    shown = filled("job", "inspect", job).out
    assert "pipeline:     shout (version 1)" in shown or "shout (version 1)" in shown
    assert f"labs@master {head(filled, 'labs')}" in shown
    assert "sh shout.sh" in shown


@pytest.mark.parametrize("words", [["inspect", "nojob"], ["logs", "nojob"], ["stop", "nojob"]])
def test_an_unknown_job_is_refused(run, words: list[str]) -> None:
    outcome = run("job", *words)
    assert (outcome.code, outcome.out) == (3, "")
    assert outcome.error == "there is no job 'nojob'; see `sidegate job list`"


def test_without_jobs_it_says_how_to_run_one(run) -> None:
    listed = run("job", "list")
    assert (listed.code, listed.out) == (0, "")
    assert "run one with `sidegate run SPEC`" in listed.err


# -- provenance ----------------------------------------------------------


def test_provenance_names_every_input_down_to_the_first(filled) -> None:
    first = filled("run", write_spec(), "--json").row
    again = {"pipeline": {"name": "again"}, "input": {"pfs": {"repo": "shout", "name": "in", "glob": "/"}}}
    second = filled("run", write_spec(**again, transform={"cmd": ["true"]}), "--json").row
    found = filled("provenance", "again@master", "--json").row
    assert (found["commit"], found["repo"], found["branch"]) == tuple(
        second["output"][key] for key in ("commit", "repo", "branch")
    )
    assert (found["job"], found["pipeline"], found["pipeline_version"]) == (second["job"], "again", 1)
    assert found["run"]["argv"] == ["true"]
    (middle,) = found["inputs"]
    assert (middle["name"], middle["repo"], middle["commit"]) == ("in", "shout", first["output"]["commit"])
    assert middle["job"] == first["job"]
    assert [Path(file["path"]).name for file in middle["run"]["files"]] == ["shout.sh"]
    (leaf,) = middle["inputs"]
    assert (leaf["name"], leaf["commit"], leaf["job"], leaf["inputs"]) == (
        "labs",
        head(filled, "labs"),
        None,
        [],
    )


def test_provenance_is_drawn_as_a_tree(filled) -> None:
    job = filled("run", write_spec(), "--json").row
    lines = filled("provenance", "shout").out.splitlines()
    assert lines[0].startswith(f"shout@master  {job['output']['commit']}  3 files, 31 bytes, ")
    assert f"job {job['job']}, pipeline shout version 1" in "\n".join(lines)
    assert any(line.strip(" │") == "ran sh shout.sh" for line in lines)
    assert any(re.search(r"file .*/shout\.sh blake3:[0-9a-f]{64}", line) for line in lines)
    assert re.match(rf"└── labs ← labs@master  {head(filled, 'labs')}  3 files", lines[-1])
    assert not any("\x1b" in line for line in lines)


def test_provenance_of_what_is_not_there(run) -> None:
    outcome = run("provenance", "labs@master")
    assert outcome.code == 3
    assert "there is no branch or commit 'master' in repo 'labs'" in outcome.error
