"""Whole jobs on a real store and real processes; only the gateway is a fake."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from specs import FILE_SPEC, S3_SPEC, changed, pfs, s3

from conftest import FakeGateway, Stored
from sidegate.errors import Conflict, NotFound
from sidegate.pfs.jobs import JobRecord
from sidegate.pfs.store import Store
from sidegate.pps import attempts
from sidegate.pps.abandoned import settle_abandoned
from sidegate.pps.environment import COMPLAINTS, Contribution, JobEnvironment
from sidegate.pps.errors import SpecError
from sidegate.pps.isolation import Isolation
from sidegate.pps.joblog import LogEntry, read_log
from sidegate.pps.jobs import RunSetting, request_stop, run_job
from sidegate.pps.spec import parse_spec


class Runner:
    """Runs specs in one store and keeps what was said."""

    def __init__(self, stored: Stored, gateway: FakeGateway, directory: Path) -> None:
        self.stored = stored
        self.gateway = gateway
        self.directory = directory
        self.log: list[LogEntry] = []
        self.isolation: Callable[..., Isolation] | None = lambda bases, pfs: Isolation()
        self.environment = {"PATH": os.environ["PATH"]}

    def run(self, text: str, on_log: Callable[[LogEntry], None] | None = None, **fields: Any) -> JobRecord:
        self.log = []
        setting = RunSetting(self.directory, self.environment, grace_seconds=0.5, **fields)
        if self.isolation is not None:
            setting = RunSetting(
                self.directory, self.environment, grace_seconds=0.5, detect_isolation=self.isolation, **fields
            )

        def keep(entry: LogEntry) -> None:
            self.log.append(entry)
            if on_log is not None:
                on_log(entry)

        return run_job(self.stored.store, parse_spec(text), setting, self.gateway, keep)

    def printed(self, stream: str = "stdout") -> list[str]:
        return [entry.text for entry in self.log if entry.stream == stream]

    def output(self, job: JobRecord) -> dict[str, bytes]:
        assert job.output is not None, job.reason
        return self.stored.files(self.stored.store.commits.get(job.output["commit"]))


@pytest.fixture
def runner(stored: Stored, gateway: FakeGateway, tmp_path: Path) -> Runner:
    (tmp_path / "work").mkdir()
    return Runner(stored, gateway, tmp_path / "work")


def script(text: str, *changes: tuple[str, Any], spec: dict[str, Any] = FILE_SPEC) -> str:
    return changed(spec, ("transform", {"cmd": ["sh", "-e"], "stdin": text.splitlines()}), *changes)


def assert_no_trace(stored: Stored, job: JobRecord, pipeline: str = "mean") -> None:
    assert job.output is None
    assert stored.store.commits.all(pipeline) == []
    assert stored.leftovers() == []


def test_an_s3_job_makes_one_commit(runner: Runner, stored: Stored, gateway: FakeGateway) -> None:
    inputs = stored.put("labresults", {"a.csv": b"1"})
    gateway.writes = [{"result": b"42", "_temporary/0/x": b""}]
    job = runner.run(
        changed(
            S3_SPEC,
            ("transform.stdin", ["echo $S3_ENDPOINT $labresults_COMMIT $PACH_JOB_ID $PACH_OUTPUT_COMMIT_ID"]),
        )
    )
    assert (job.state, job.reason, job.attempts) == ("SUCCESS", None, 1)
    assert job.output is not None
    assert runner.printed() == [f"http://127.0.0.1:1 {inputs.id} {job.id} {job.output['commit']}"]
    assert gateway.opened == [({"labresults": inputs.id}, True, "write-only", "mean")]
    assert gateway.closed == 1
    assert job.inputs == [
        {
            "name": "labresults",
            "repo": "labresults",
            "branch": "master",
            "commit": inputs.id,
            "s3": True,
            "glob": "/",
        }
    ]
    commit = stored.store.commits.head("mean")
    assert commit is not None
    assert job.output == {"repo": "mean", "branch": "master", "commit": commit.id}
    assert commit.commit_set == job.id
    assert [edge.commit for edge in stored.store.commits.provenance(commit.id)] == [inputs.id]
    assert runner.output(job) == {"result": b"42"}
    assert stored.store.repos.get("mean").kind == "pipeline"
    assert stored.leftovers() == []


def test_a_second_run_replaces_the_output(runner: Runner, stored: Stored, gateway: FakeGateway) -> None:
    stored.put("labresults", {"a.csv": b"1"})
    gateway.writes = [{"old": b"1"}, {"new": b"2"}]
    first = runner.run(changed(S3_SPEC))
    second = runner.run(changed(S3_SPEC))
    assert runner.output(second) == {"new": b"2"}
    assert first.output is not None
    head = stored.store.commits.head("mean")
    assert head is not None
    assert head.parent == first.output["commit"]
    assert (first.pipeline_version, second.pipeline_version) == (1, 1)
    third = runner.run(changed(S3_SPEC, ("description", "changed")))
    assert third.pipeline_version == 2


def test_files_in_and_out(runner: Runner, stored: Stored, gateway: FakeGateway) -> None:
    stored.put("labresults", {"a.csv": b"1\n", "deep/b.csv": b"22\n"})
    job = runner.run(
        script(
            'cat "$PFS_ROOT"/labresults/deep/b.csv "$labresults/a.csv"\n'
            'mkdir "$PFS_ROOT/out/d"\n'
            'cp "$labresults/a.csv" "$PFS_ROOT/out/d/copy"\n'
            'ln -s "$PFS_ROOT/labresults/deep" "$PFS_ROOT/out/link"',
            ("input.pfs.glob", "/"),
        )
    )
    assert runner.printed() == ["22", "1"]
    assert runner.output(job) == {"d/copy": b"1\n", "link/b.csv": b"22\n"}
    assert gateway.opened == [], "a job without S3 has no session"
    assert "S3_ENDPOINT" not in runner.printed()
    assert stored.leftovers() == []


def test_a_datum_per_match_and_merged_outputs(runner: Runner, stored: Stored, gateway: FakeGateway) -> None:
    stored.put("labresults", {"a.csv": b"1\n", "b.csv": b"2\n", "c.txt": b"3\n"})
    stored.put("model", {"m": b"x"})
    job = runner.run(
        script(
            'ls "$PFS_ROOT/labresults" "$PFS_ROOT/model"\n'
            'cd "$PFS_ROOT/out"; cp "$labresults" $(basename $labresults).out; echo same >same',
            ("input", {"cross": [pfs("labresults", glob="/*.csv"), s3("model")]}),
        )
    )
    assert job.state == "SUCCESS"
    assert (job.attempts, job.details["datums"]) == (2, 2)
    assert runner.output(job) == {"a.csv.out": b"1\n", "b.csv.out": b"2\n", "same": b"same\n"}
    assert "c.txt" not in runner.printed()
    assert [opened[1] for opened in gateway.opened] == [False, False], "no output bucket without s3_out"
    assert len({entry.datum for entry in runner.log if entry.stream == "stdout"}) == 2


def test_datums_that_disagree_fail_the_job(runner: Runner, stored: Stored) -> None:
    stored.put("labresults", {"a.csv": b"1", "b.csv": b"2"})
    job = runner.run(script('cp "$labresults" "$PFS_ROOT/out/result"'))
    assert job.state == "FAILURE"
    assert "'result'" in (job.reason or "")
    assert_no_trace(stored, job)


def test_a_failing_job_leaves_nothing(runner: Runner, stored: Stored) -> None:
    stored.put("labresults", {"a.csv": b"1"})
    job = runner.run(script('echo x >"$PFS_ROOT/out/x"; echo oops >&2; exit 7'))
    assert (job.state, job.attempts) == ("FAILURE", 3)
    assert job.reason == "the datum labresults:/a.csv failed after 3 tries: exit code 7"
    assert runner.printed("stderr") == ["oops"] * 3
    assert [failure["attempt"] for failure in job.details["failed_attempts"]] == [1, 2, 3]
    assert_no_trace(stored, job)


def test_a_retry_starts_clean(runner: Runner, stored: Stored) -> None:
    stored.put("labresults", {"a.csv": b"1"})
    counter = runner.directory / "count"
    job = runner.run(
        script(
            f'echo x >>{counter}; n=$(wc -l <{counter})\ntest ! -e "$PFS_ROOT/out/1"\n'
            'echo $n >"$PFS_ROOT/out/$n"\ntest $n -ge 2'
        )
    )
    assert (job.state, job.attempts) == ("SUCCESS", 2)
    assert runner.output(job) == {"2": b"2\n"}
    assert {entry.attempt for entry in runner.log if entry.datum} == {1}, (
        "only the failed try has said something"
    )


def test_datum_tries(runner: Runner, stored: Stored) -> None:
    stored.put("labresults", {"a.csv": b"1"})
    job = runner.run(script("exit 1", ("datum_tries", 1)))
    assert (job.state, job.attempts) == ("FAILURE", 1)
    assert (job.reason or "").endswith("after 1 try: exit code 1")


def test_what_the_process_lacked_is_told_with_the_failure(runner: Runner, stored: Stored) -> None:
    def lacking(given: JobEnvironment, variables: Mapping[str, str]) -> Contribution:
        return Contribution({"COMPLAINTS": str(Path(given.folder or "") / COMPLAINTS)})

    stored.put("labresults", {"a.csv": b"1"})
    complaining = 'echo "no jar: fetch it" >>"$COMPLAINTS"; echo "no jar: fetch it" >>"$COMPLAINTS"\n'
    failing = script(f"{complaining}exit 3", ("datum_tries", 1), spec=S3_SPEC)
    failed = runner.run(failing, contributors=(lacking,))
    assert (failed.reason or "").endswith("after 1 try: exit code 3; no jar: fetch it")
    ended_well = runner.run(script(complaining, spec=S3_SPEC), contributors=(lacking,))
    assert (ended_well.state, ended_well.reason) == ("SUCCESS", None)


def test_accepted_return_codes(runner: Runner, stored: Stored) -> None:
    stored.put("labresults", {"a.csv": b"1"})
    job = runner.run(script("exit 4", ("transform.accept_return_code", [4])))
    assert job.state == "SUCCESS"
    refused = runner.run(
        script("kill -9 $$", ("transform.accept_return_code", [9, 137, -9]), ("datum_tries", 1))
    )
    assert (refused.state, refused.reason) == (
        "FAILURE",
        "the datum labresults:/a.csv failed after 1 try: killed by SIGKILL",
    )


def test_a_refused_output_is_a_failed_try(runner: Runner, stored: Stored, gateway: FakeGateway) -> None:
    stored.put("labresults", {"a.csv": b"1"})
    gateway.writes = [{"a": b"1"}, {"b": b"2"}]
    gateway.refusals = ["rows were left under _temporary"]
    job = runner.run(changed(S3_SPEC))
    assert (job.state, job.attempts) == ("SUCCESS", 2)
    assert runner.output(job) == {"b": b"2"}
    gateway.refusals = ["rows were left under _temporary"] * 9
    failed = runner.run(changed(S3_SPEC))
    assert failed.state == "FAILURE"
    assert "rows were left" in (failed.reason or "")
    assert stored.leftovers() == []


def test_an_output_that_cannot_be_collected(runner: Runner, stored: Stored) -> None:
    stored.put("labresults", {"a.csv": b"1"})
    job = runner.run(script('mkfifo "$PFS_ROOT/out/pipe"', ("datum_tries", 1)))
    assert job.state == "FAILURE"
    assert "/pipe" in (job.reason or "")
    assert_no_trace(stored, job)


def test_a_command_that_is_not_there_is_not_retried(runner: Runner, stored: Stored) -> None:
    stored.put("labresults", {"a.csv": b"1"})
    job = runner.run(changed(FILE_SPEC, ("transform.cmd", ["no-such-command"])))
    assert (job.state, job.attempts) == ("FAILURE", 1)
    assert "'no-such-command' cannot be run" in (job.reason or "")
    assert_no_trace(stored, job)


def test_datum_timeout_is_a_failed_try(runner: Runner, stored: Stored) -> None:
    stored.put("labresults", {"a.csv": b"1"})
    job = runner.run(script("exec sleep 60", ("datum_timeout", "200ms"), ("datum_tries", 2)))
    assert (job.state, job.attempts) == ("FAILURE", 2)
    assert "datum_timeout" in (job.reason or "")
    assert_no_trace(stored, job)


def test_job_timeout_kills(runner: Runner, stored: Stored) -> None:
    stored.put("labresults", {"a.csv": b"1"})
    job = runner.run(script("exec sleep 60", ("job_timeout", "300ms"), ("datum_timeout", "1h")))
    assert (job.state, job.attempts) == ("KILLED", 1)
    assert "job_timeout" in (job.reason or "")
    assert_no_trace(stored, job)


def test_stopping_from_elsewhere(runner: Runner, stored: Stored) -> None:
    stored.put("labresults", {"a.csv": b"1"})
    store = stored.store

    def stop(entry: LogEntry) -> None:
        if entry.text == "up":
            request_stop(store, store.jobs.list()[0].id)

    started = time.monotonic()
    job = runner.run(script('echo x >"$PFS_ROOT/out/x"; echo up; exec sleep 60'), on_log=stop)
    assert (job.state, job.reason, job.attempts) == ("KILLED", "stopped on request", 1)
    assert time.monotonic() - started < 10
    assert_no_trace(stored, job)
    with pytest.raises(Conflict, match="has ended: KILLED"):
        request_stop(store, job.id)
    with pytest.raises(NotFound):
        request_stop(store, "0" * 32)


def test_ctrl_c_is_a_stop(runner: Runner, stored: Stored) -> None:
    stored.put("labresults", {"a.csv": b"1"})

    def interrupt(entry: LogEntry) -> None:
        if entry.text == "up":
            raise KeyboardInterrupt

    job = runner.run(script('echo x >"$PFS_ROOT/out/x"; echo up; exec sleep 60'), on_log=interrupt)
    assert (job.state, job.reason) == ("KILLED", "interrupted")
    assert_no_trace(stored, job)


def test_an_interrupt_after_the_commit_is_a_success(
    runner: Runner, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.put("labresults", {"a.csv": b"1"})
    publish = stored.store.publisher.publish

    def publish_and_interrupt(*arguments: Any) -> None:
        publish(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(stored.store.publisher, "publish", publish_and_interrupt)
    job = runner.run(script('echo x >"$PFS_ROOT/out/x"'))
    assert (job.state, runner.output(job)) == ("SUCCESS", {"x": b"x\n"})


def test_a_bug_is_recorded_and_goes_on(
    runner: Runner, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.put("labresults", {"a.csv": b"1"})

    def broken(*arguments: Any) -> None:
        raise ZeroDivisionError("bug")

    monkeypatch.setattr(attempts, "collect_files", broken)
    with pytest.raises(ZeroDivisionError):
        runner.run(script("true"))
    (job,) = stored.store.jobs.list()
    assert job.state == "FAILURE"
    assert "ZeroDivisionError" in (job.reason or "")
    assert_no_trace(stored, job)


@pytest.mark.parametrize("branch", ["master", "nightly"])
def test_an_input_without_a_commit(runner: Runner, stored: Stored, branch: str) -> None:
    stored.store.repos.create("labresults")
    job = runner.run(changed(FILE_SPEC, ("input.pfs.branch", branch)))
    assert (job.state, job.attempts) == ("UNRUNNABLE", 0)
    assert f"labresults@{branch}" in (job.reason or "")
    assert_no_trace(stored, job)


def test_an_empty_commit_is_one_datum_for_the_whole(
    runner: Runner, stored: Stored, gateway: FakeGateway
) -> None:
    stored.put("labresults", {})
    gateway.writes = [{"x": b"1"}]
    s3_job = runner.run(changed(S3_SPEC))
    assert (s3_job.state, s3_job.attempts, runner.output(s3_job)) == ("SUCCESS", 1, {"x": b"1"})
    file_job = runner.run(script("true", ("input.pfs.glob", "/"), ("pipeline.name", "other")))
    assert (file_job.state, file_job.attempts) == ("SUCCESS", 1)


def test_no_datum_is_an_empty_output(runner: Runner, stored: Stored) -> None:
    stored.put("labresults", {"a.csv": b"1"})
    job = runner.run(script("exit 1", ("input.pfs.glob", "/*.parquet")))
    assert (job.state, job.attempts, runner.output(job)) == ("SUCCESS", 0, {})
    assert any("no datum" in text for text in runner.printed("sidegate"))


def test_refused_specs_make_nothing(runner: Runner, stored: Stored) -> None:
    with pytest.raises(SpecError) as caught:
        runner.run(changed(FILE_SPEC))
    assert (caught.value.field, caught.value.value) == ("input.pfs.repo", "labresults")
    assert "sidegate repo create labresults" in (caught.value.remedy or "")
    stored.put("labresults", {"a": b"1"})
    for text in (changed(FILE_SPEC, ("egress", {})), changed(S3_SPEC, ("input.pfs.glob", "/x"))):
        with pytest.raises(SpecError):
            runner.run(text)
    with pytest.raises(SpecError, match="--out-policy"):
        runner.run(changed(S3_SPEC), out_policy="read-all")
    assert [repo.name for repo in stored.store.repos.list()] == ["labresults"]
    assert stored.store.jobs.list() == []


def test_a_users_repo_is_not_taken_for_output(runner: Runner, stored: Stored) -> None:
    stored.put("labresults", {"a": b"1"})
    stored.put("mean", {"mine": b"1"})
    with pytest.raises(SpecError) as caught:
        runner.run(changed(FILE_SPEC))
    assert caught.value.field == "pipeline.name"
    assert stored.store.jobs.list() == []


def test_output_policy_of_spec_and_call(runner: Runner, stored: Stored, gateway: FakeGateway) -> None:
    stored.put("labresults", {"a": b"1"})
    runner.run(changed(S3_SPEC, ("metadata", {"annotations": {"sidegate/out": "own-reads"}})))
    runner.run(changed(S3_SPEC), out_policy="own-reads")
    assert [opened[2] for opened in gateway.opened] == ["own-reads", "own-reads"]


def test_what_was_run_is_recorded(runner: Runner, stored: Stored) -> None:
    stored.put("labresults", {"a": b"1"})
    (runner.directory / "job.py").write_text("print('ran')\n")
    runner.environment["AWS_PROFILE"] = "prod"
    job = runner.run(
        changed(FILE_SPEC, ("transform", {"cmd": [sys.executable, "job.py"], "image": "img", "user": "me"}))
    )
    assert job.state == "SUCCESS", job.reason
    run = job.details["run"]
    assert run["argv"] == [sys.executable, "job.py"]
    assert run["image"] == "img"
    assert str(runner.directory / "job.py") in [file["path"] for file in run["files"]]
    assert [warning.split(" ")[0] for warning in job.details["warnings"]] == [
        "transform.image",
        "transform.user",
    ]
    assert runner.printed("sidegate")[:2] == job.details["warnings"]
    assert stored.store.jobs.pipeline("mean").spec["transform"]["image"] == "img"


def test_the_working_directory_of_the_transform(runner: Runner, stored: Stored) -> None:
    stored.put("labresults", {"a": b"1"})
    (runner.directory / "sub").mkdir()
    runner.run(script("pwd", ("transform.working_dir", "sub")))
    assert runner.printed() == [str(runner.directory / "sub")]


def test_removed_variables_are_told(runner: Runner, stored: Stored) -> None:
    stored.put("labresults", {"a": b"1"})
    runner.environment["AWS_PROFILE"] = "prod"
    runner.run(changed(S3_SPEC, ("transform.stdin", ["echo ${AWS_PROFILE-none}"])))
    assert runner.printed() == ["none"]
    assert "taken out of the environment: AWS_PROFILE" in runner.printed("sidegate")


def test_open_writes_are_told(runner: Runner, stored: Stored) -> None:
    before = stored.put("labresults", {"a": b"1"})
    stored.store.branch_view("labresults", "master").put_many([("b", stored.record(b"2"))])
    job = runner.run(script('ls "$PFS_ROOT/labresults"', ("input.pfs.glob", "/")))
    assert job.inputs[0]["commit"] == before.id
    assert runner.printed() == ["a"]
    assert any(text.startswith("labresults@master has newer writes") for text in runner.printed("sidegate"))


def test_the_log_is_kept(runner: Runner, stored: Stored) -> None:
    stored.put("labresults", {"a": b"1"})
    job = runner.run(script("echo out; echo err >&2"))
    assert list(read_log(stored.store.directory, job.id)) == [
        LogEntry(round(entry.time_seconds, 6), entry.stream, entry.text, entry.datum, entry.attempt)
        for entry in runner.log
    ]
    assert runner.printed("sidegate")[-1] == f"job {job.id}: SUCCESS"


def test_one_branch_under_two_names_is_one_commit(runner: Runner, stored: Stored) -> None:
    commit = stored.put("labresults", {"a": b"1"})
    tree = {"cross": [pfs("labresults", name="one", glob="/"), pfs("labresults", name="two", glob="/")]}
    job = runner.run(script('cat "$one/a" "$two/a"', ("input", tree)))
    assert [given["commit"] for given in job.inputs] == [commit.id, commit.id]
    assert job.state == "SUCCESS"


def test_isolated_jobs_do_not_see_each_others_tmp(
    runner: Runner, stored: Stored, gateway: FakeGateway
) -> None:
    runner.isolation = None
    stored.put("labresults", {"a": b"1"})
    name = f"/tmp/sidegate-test-{os.getpid()}"
    text = script(f"ls {name} || echo clean; mkdir {name}; echo $PFS_ROOT; echo x >$PFS_ROOT/out/x")
    try:
        jobs = [runner.run(text), runner.run(text)]
        if not jobs[0].details["isolation"]["private_tmp"]:
            pytest.skip(f"no private /tmp here: {jobs[0].details['isolation']['warnings']}")
        assert [job.state for job in jobs] == ["SUCCESS", "SUCCESS"]
        assert runner.printed()[0] == "clean"
        assert not os.path.exists(name)
        assert runner.output(jobs[1]) == {"x": b"x\n"}
    finally:
        if os.path.isdir(name):
            os.rmdir(name)
    assert stored.leftovers() == []
    assert [path for path in os.listdir("/var/tmp") if any(job.id in path for job in jobs)] == []


KILLED_RUNNER = """
import os, sys
from pathlib import Path
from sidegate.pfs.store import Store
from sidegate.pps.isolation import Isolation
from sidegate.pps.jobs import RunSetting, run_job
from sidegate.pps.spec import parse_spec
with Store.open(Path(sys.argv[1])) as store:
    setting = RunSetting(Path("/"), dict(os.environ), detect_isolation=lambda bases, pfs: Isolation())
    run_job(store, parse_spec(sys.argv[2]), setting, None, lambda entry: print(entry.text, flush=True))
"""


def killed_runner(stored: Stored, text: str, *, stop: signal.Signals) -> None:
    command = [sys.executable, "-c", KILLED_RUNNER, str(stored.store.directory), text]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == "up":
            assert settle_abandoned(stored.store) == [], "a running job is left alone"
            process.send_signal(stop)
            break
    process.stdout.read()
    process.wait()


def test_a_killed_runner_is_settled(stored: Stored) -> None:
    stored.put("labresults", {"a": b"1"})
    text = script('echo x >"$PFS_ROOT/out/x"; echo up; exec sleep 60')
    killed_runner(stored, text, stop=signal.SIGKILL)
    (job,) = stored.store.jobs.list()
    assert job.state == "RUNNING"
    assert stored.leftovers() != []
    (settled,) = settle_abandoned(stored.store)
    assert (settled.id, settled.state, settled.reason) == (job.id, "KILLED", "its runner was killed")
    assert_no_trace(stored, settled)
    assert settle_abandoned(stored.store) == []


def test_sigint_to_a_real_runner(stored: Stored) -> None:
    stored.put("labresults", {"a": b"1"})
    killed_runner(stored, script("echo up; exec sleep 60"), stop=signal.SIGINT)
    (job,) = stored.store.jobs.list()
    assert (job.state, job.reason) == ("KILLED", "interrupted")
    assert_no_trace(stored, job)


def test_a_published_job_whose_runner_was_killed_is_a_success(
    runner: Runner, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.put("labresults", {"a": b"1"})
    job = runner.run(script('echo x >"$PFS_ROOT/out/x"'))
    stored.store.jobs.update(job.id, state="FINISHING", output=None, finished_us=None)
    (stored.store.directory / "scratch" / job.id).mkdir()
    (settled,) = settle_abandoned(stored.store)
    assert (settled.state, settled.output) == ("SUCCESS", job.output)


def test_folders_of_unknown_jobs_are_removed(stored: Stored) -> None:
    folder = stored.store.directory / "scratch" / ("0" * 32)
    folder.mkdir(parents=True)
    (folder / "stagings").write_text("gone\n")
    assert settle_abandoned(stored.store) == []
    assert stored.leftovers() == []


def test_two_runs_at_once_both_publish(
    runner: Runner, stored: Stored, gateway: FakeGateway, tmp_path: Path
) -> None:
    stored.put("labresults", {"a": b"1"})
    runners = [Runner(stored, gateway, runner.directory) for _ in range(2)]
    jobs: list[JobRecord] = []

    def work(one: Runner) -> None:
        jobs.append(one.run(script('echo x >"$PFS_ROOT/out/x"')))

    threads = [threading.Thread(target=work, args=(one,)) for one in runners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [job.state for job in jobs] == ["SUCCESS", "SUCCESS"]
    assert len(stored.store.commits.all("mean")) == 2
    assert json.dumps([job.details for job in jobs])


def test_a_full_disk_is_a_failure(runner: Runner, stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    stored.put("labresults", {"a": b"1"})

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(attempts, "collect_files", full)
    job = runner.run(script("true"))
    assert (job.state, job.reason) == ("FAILURE", "the system refused: [Errno 28] No space left on device")
    assert_no_trace(stored, job)


def test_a_broken_log_ends_the_job_and_its_record(runner: Runner, stored: Stored) -> None:
    stored.put("labresults", {"a": b"1"})

    def broken(entry: LogEntry) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        runner.run(script("echo x"), on_log=broken)
    (job,) = stored.store.jobs.list()
    assert job.state == "FAILURE"
    assert_no_trace(stored, job)


def test_a_store_named_by_a_relative_path(
    stored: Stored, gateway: FakeGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.put("labresults", {"a": b"1"})
    monkeypatch.chdir(tmp_path)
    with Store.open(Path("store")) as store:
        runner = Runner(Stored(store), FakeGateway(Stored(store)), Path())
        runner.isolation = None
        job = runner.run(
            script('cat "$labresults"; echo x >"$PFS_ROOT/out/x"; pwd', ("input.pfs.name", "labresults"))
        )
        assert runner.printed() == [f"1{tmp_path}"]
        assert runner.output(job) == {"x": b"x\n"}
        assert runner.stored.leftovers() == []


def test_stopping_while_files_are_laid_out(
    runner: Runner, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.put("labresults", {"a": b"1", "b": b"2"})
    monkeypatch.setattr(attempts, "_STOP_ASKED_SECONDS", 0.0)
    read, asked = stored.store.read, []

    def read_and_stop(*arguments: Any) -> Any:
        asked.append(request_stop(stored.store, stored.store.jobs.list()[0].id))
        return read(*arguments)

    monkeypatch.setattr(stored.store, "read", read_and_stop)
    job = runner.run(script("echo ran", ("input.pfs.glob", "/")))
    assert (job.state, len(asked), runner.printed()) == ("KILLED", 1, [])
    assert_no_trace(stored, job)


def test_what_became_of_variables_is_told_once(runner: Runner, stored: Stored) -> None:
    stored.put("labresults", {"a": b"1"})
    stored.put("words", {"a": b"1", "b": b"2"})
    runner.environment["AWS_PROFILE"] = "prod"
    runner.run(script("true", ("input", {"cross": [s3("labresults"), pfs("words")]})))
    assert runner.printed("sidegate").count("taken out of the environment: AWS_PROFILE") == 1


def test_the_store_stays_openable(runner: Runner, stored: Stored) -> None:
    stored.put("labresults", {"a": b"1"})
    job = runner.run(script('echo x >"$PFS_ROOT/out/x"'))
    with Store.open(stored.store.directory) as again:
        assert again.jobs.get(job.id).state == "SUCCESS"
