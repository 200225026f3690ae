"""Every rule refuses what it is for, naming field, value and remedy."""

from __future__ import annotations

from typing import Any

import pytest
from specs import FILE_SPEC, REMOVE, S3_SPEC, changed, pfs, s3

from sidegate.errors import Unsupported
from sidegate.pps.errors import MISSING, SpecError
from sidegate.pps.offering import KEPT, NOT_RUN
from sidegate.pps.rules import REFUSALS, check_spec, out_policy
from sidegate.pps.spec import parse_spec

CASES: list[tuple[str, dict[str, Any], list[tuple[str, Any]], str, Any, str]] = [
    # rule, spec, changes, field, value, remedy
    ("pipeline_name", FILE_SPEC, [("pipeline.name", "a b")], "pipeline.name", "a b", "name it 'a-b'"),
    ("pipeline_name", FILE_SPEC, [("pipeline.name", "-a")], "pipeline.name", "-a", "name it 'a'"),
    ("pipeline_name", FILE_SPEC, [("pipeline.name", "é")], "pipeline.name", "é", "name it 'pipeline'"),
    ("pipeline_name", FILE_SPEC, [("pipeline.name", "a" * 52)], "pipeline.name", "a" * 52, "shorter"),
    ("pipeline_name", FILE_SPEC, [("pipeline.name", "0a" * 16)], "pipeline.name", "0a" * 16, "another name"),
    ("input_has_repo_and_name", FILE_SPEC, [("input.pfs.repo", REMOVE)], "input.pfs.repo", None, "the repo"),
    ("input_has_repo_and_name", FILE_SPEC, [("input.pfs.repo", "")], "input.pfs.repo", "", "the repo"),
    (
        "input_name_is_usable",
        FILE_SPEC,
        [("input.pfs.repo", "out")],
        "input.pfs.repo",
        "out",
        "set input.pfs.name",
    ),
    ("input_name_is_usable", S3_SPEC, [("input.pfs.name", "out")], "input.pfs.name", "out", "another name"),
    ("input_name_is_usable", FILE_SPEC, [("input.pfs.name", ".env")], "input.pfs.name", ".env", "another"),
    ("input_name_is_usable", FILE_SPEC, [("input.pfs.name", "a/b")], "input.pfs.name", "a/b", "another"),
    ("input_name_is_usable", FILE_SPEC, [("input.pfs.name", "..")], "input.pfs.name", "..", "another"),
    ("input_name_is_usable", FILE_SPEC, [("input.pfs.name", "PATH")], "input.pfs.name", "PATH", "another"),
    (
        "input_names_differ",
        FILE_SPEC,
        [("input", {"cross": [pfs("a"), pfs("b", name="a")]})],
        "input.cross[1].pfs.name",
        "a",
        "set input.cross[1].pfs.name to another",
    ),
    (
        "input_names_differ",
        FILE_SPEC,
        [("input", {"cross": [pfs("a"), {"union": [pfs("a"), pfs("b")]}]})],
        "input.cross[1].union[0].pfs.repo",
        "a",
        "another name",
    ),
    (
        "pipeline_differs_from_inputs",
        S3_SPEC,
        [("input.pfs.name", "mean")],
        "pipeline.name",
        "mean",
        "rename the pipeline",
    ),
    (
        "pipeline_differs_from_repos",
        FILE_SPEC,
        [("input", pfs("mean", name="x"))],
        "input.pfs.repo",
        "mean",
        "rename",
    ),
    ("transform_is_given", FILE_SPEC, [("transform", REMOVE)], "transform", None, 'write "transform"'),
    ("transform_is_given", FILE_SPEC, [("transform.cmd", REMOVE)], "transform.cmd", None, "list the program"),
    ("transform_is_given", FILE_SPEC, [("transform.cmd", [])], "transform.cmd", [], "list the program"),
    ("transform_is_given", FILE_SPEC, [("transform.cmd", [""])], "transform.cmd", [""], "list the program"),
    (
        "transform_env_is_usable",
        FILE_SPEC,
        [("transform.env", {"A=B": "1"})],
        'transform.env["A=B"]',
        "A=B",
        "name it",
    ),
    ("output_branch_is_given", FILE_SPEC, [("outputBranch", "")], "outputBranch", "", "remove it"),
    ("output_branch_is_given", FILE_SPEC, [("output_branch", "a/b")], "output_branch", "a/b", "letters"),
    ("datum_tries_are_positive", FILE_SPEC, [("datum_tries", -1)], "datum_tries", -1, "remove it for 3"),
    (
        "output_policy_is_known",
        S3_SPEC,
        [("metadata", {"annotations": {"sidegate/out": "read-write"}})],
        'metadata.annotations["sidegate/out"]',
        "read-write",
        '"write-only" or "own-reads"',
    ),
    (
        "reprocess_spec_is_known",
        FILE_SPEC,
        [("reprocess_spec", "never")],
        "reprocess_spec",
        "never",
        "every_job",
    ),
    ("pod_json_is_valid", FILE_SPEC, [("pod_spec", "{")], "pod_spec", "{", "a JSON object"),
    ("pod_json_is_valid", FILE_SPEC, [("podSpec", "[]")], "podSpec", "[]", "a JSON object"),
    ("pod_json_is_valid", FILE_SPEC, [("pod_patch", "{}")], "pod_patch", "{}", "list of operations"),
    ("s3_out_without_endpoints", S3_SPEC, [("service", {})], "service", {}, "or remove s3_out"),
    ("s3_out_without_endpoints", S3_SPEC, [("spout", {})], "spout", {}, "or remove s3_out"),
    ("s3_out_without_endpoints", S3_SPEC, [("enable_stats", True)], "enable_stats", True, "or remove s3_out"),
    (
        "service_runs_once",
        FILE_SPEC,
        [("service", {}), ("parallelism_spec", {"constant": 2})],
        "parallelism_spec.constant",
        2,
        "write 1",
    ),
    ("spout_has_no_input", FILE_SPEC, [("spout", {})], "input", FILE_SPEC["input"], "remove one"),
    ("input_is_given", FILE_SPEC, [("input", REMOVE)], "input", None, 'write "input"'),
    (
        "inputs_follow_branches",
        S3_SPEC,
        [("input.pfs.commit", "abc")],
        "input.pfs.commit",
        "abc",
        "write branch",
    ),
    (
        "input_branches_are_names",
        S3_SPEC,
        [("input.pfs.branch", "master^")],
        "input.pfs.branch",
        "master^",
        "use 1 to 63 letters",
    ),
    ("s3_input_shows_whole_commit", S3_SPEC, [("input.pfs.glob", "/*")], "input.pfs.glob", "/*", 'to "/"'),
    ("s3_input_shows_whole_commit", S3_SPEC, [("input.pfs.glob", REMOVE)], "input.pfs.glob", None, 'to "/"'),
    (
        "s3_input_shows_whole_commit",
        FILE_SPEC,
        [("input", {"cross": [pfs("a"), s3("b", glob="/b")]})],
        "input.cross[1].pfs.glob",
        "/b",
        'set input.cross[1].pfs.glob to "/"',
    ),
    ("s3_input_shows_whole_commit", FILE_SPEC, [("input.pfs.glob", REMOVE)], "input.pfs.glob", None, '"/*"'),
    ("glob_is_readable", FILE_SPEC, [("input.pfs.glob", "/[a")], "input.pfs.glob", "/[a", "correct"),
    ("s3_input_is_not_lazy", S3_SPEC, [("input.pfs.lazy", True)], "input.pfs.lazy", True, "remove"),
    (
        "s3_input_is_not_lazy",
        S3_SPEC,
        [("input.pfs.emptyFiles", True)],
        "input.pfs.emptyFiles",
        True,
        "remove",
    ),
    ("s3_input_is_bucket", S3_SPEC, [("input.pfs.name", "ab")], "input.pfs.name", "ab", "set input.pfs.name"),
    ("s3_input_is_bucket", S3_SPEC, [("input.pfs.repo", "ab")], "input.pfs.repo", "ab", "set input.pfs.name"),
    ("s3_input_is_bucket", S3_SPEC, [("input.pfs.name", "-abc")], "input.pfs.name", "-abc", "such a name"),
    ("s3_input_is_bucket", S3_SPEC, [("input.pfs.name", "a..b")], "input.pfs.name", "a..b", "such a name"),
    ("s3_input_is_bucket", S3_SPEC, [("input.pfs.name", "läb")], "input.pfs.name", "läb", "such a name"),
    (
        "s3_input_is_bucket",
        S3_SPEC,
        [("input.pfs.name", "a" * 64)],
        "input.pfs.name",
        "a" * 64,
        "such a name",
    ),
    *(
        (
            "s3_input_is_not_matched",
            FILE_SPEC,
            [("input", {kind: [pfs("aaa"), {"cross": [s3("bbb"), pfs("ccc")]}]})],
            f"input.{kind}[1].cross[0].pfs.s3",
            True,
            "use a cross",
        )
        for kind in ("join", "group", "union")
    ),
    (
        "inputs_share_project",
        FILE_SPEC,
        [("input.pfs.project", "other")],
        "input.pfs.project",
        "other",
        "remove it",
    ),
    (
        "find_not_run",
        FILE_SPEC,
        [("egress", {"URL": "s3://x"})],
        "egress",
        {"URL": "s3://x"},
        "copy the output",
    ),
    ("find_not_run", FILE_SPEC, [("service", {})], "service", {}, "outside the pipeline"),
    ("find_not_run", FILE_SPEC, [("spout", {}), ("input", REMOVE)], "spout", {}, "sidegate serve"),
    ("find_not_run", FILE_SPEC, [("tfJob", {"x": 1})], "tfJob", {"x": 1}, "plain process"),
    ("find_not_run", FILE_SPEC, [("determined", {"x": 1})], "determined", {"x": 1}, "remove"),
    ("find_not_run", FILE_SPEC, [("dry_run", True)], "dry_run", True, "remove it to run"),
    ("find_not_run", FILE_SPEC, [("transform.errCmd", ["x"])], "transform.errCmd", ["x"], "catch"),
    ("find_not_run", FILE_SPEC, [("transform.err_stdin", ["x"])], "transform.err_stdin", ["x"], "remove"),
    (
        "find_not_run",
        FILE_SPEC,
        [("transform.secrets", [{"name": "x"}])],
        "transform.secrets",
        [{"name": "x"}],
        "environment",
    ),
    (
        "find_not_run",
        FILE_SPEC,
        [("transform.datum_batching", True)],
        "transform.datum_batching",
        True,
        "remove",
    ),
    ("find_not_run", FILE_SPEC, [("input.pfs.empty_files", True)], "input.pfs.empty_files", True, "remove"),
    ("find_not_run", FILE_SPEC, [("input.pfs.reference", True)], "input.pfs.reference", True, "remove"),
    (
        "find_not_run",
        FILE_SPEC,
        [("input", {"cross": [pfs("a"), pfs("b", trigger={"size": "1M"})]})],
        "input.cross[1].pfs.trigger",
        {"size": "1M"},
        "remove",
    ),
    (
        "find_not_run",
        FILE_SPEC,
        [("input", {"cron": {"name": "t", "spec": "@daily"}})],
        "input.cron",
        {"name": "t", "spec": "@daily"},
        "cron job",
    ),
    *(
        (
            "find_not_run",
            FILE_SPEC,
            [("input", {kind: [pfs("a")]})],
            f"input.{kind}",
            [pfs("a")],
            "use a cross",
        )
        for kind in ("join", "group", "union")
    ),
]


@pytest.mark.parametrize(
    ("rule", "spec", "changes", "field", "value", "remedy"), CASES, ids=[f"{c[0]}-{c[3]}" for c in CASES]
)
def test_rule_refuses(
    rule: str, spec: dict[str, Any], changes: list[tuple[str, Any]], field: str, value: Any, remedy: str
) -> None:
    parsed = parse_spec(changed(spec, *changes))
    first = next((given.__name__, error) for given in REFUSALS for error in given(parsed))
    assert first[0] == rule
    with pytest.raises(SpecError) as caught:
        check_spec(parsed)
    error = caught.value
    assert (error.field, error.value if error.value is not MISSING else None) == (field, value)
    assert error.message.startswith(f"{field} is ")
    assert remedy in (error.remedy or "")


def test_every_rule_has_a_case() -> None:
    assert {rule.__name__ for rule in REFUSALS} == {case[0] for case in CASES}


def test_every_field_that_is_not_run_has_a_case() -> None:
    def general(field: str) -> str:
        snake = field.replace("tfJob", "tf_job").replace("errCmd", "err_cmd")
        return "input." + snake.split("].")[1] if snake.startswith("input.cross") else snake

    assert set(NOT_RUN) <= {general(case[3]) for case in CASES if case[0] == "find_not_run"}


def test_fields_not_run_are_unsupported_rather_than_wrong() -> None:
    with pytest.raises(Unsupported):
        check_spec(parse_spec(changed(FILE_SPEC, ("egress", {"URL": "s3://x"}))))


@pytest.mark.parametrize(
    "text",
    [
        changed(S3_SPEC),
        changed(FILE_SPEC),
        changed(S3_SPEC, ("input.pfs.name", "lab_results.2024")),
        changed(
            S3_SPEC, ("input", {"cross": [s3("abc"), pfs("def", glob="/**.csv"), {"cross": [pfs("ghi")]}]})
        ),
        changed(S3_SPEC, ("input.pfs.project", "default")),
        changed(FILE_SPEC, ("pipeline.project", {"name": "x"}), ("input.pfs.project", "x")),
        changed(FILE_SPEC, ("input.pfs.name", "o"), ("pod_spec", ""), ("tolerations", [])),
        changed(FILE_SPEC, ("input", pfs("out", name="results"))),
        changed(FILE_SPEC, ("enable_stats", False), ("transform.secrets", []), ("dry_run", False)),
        changed(
            FILE_SPEC, ("update", True), ("reprocess", True), ("salt", "x"), ("reprocess_spec", "every_job")
        ),
    ],
)
def test_good_specs_pass(text: str) -> None:
    assert check_spec(parse_spec(text)) == ()


def test_members_of_a_union_may_share_a_name() -> None:
    parsed = parse_spec(changed(FILE_SPEC, ("input", {"union": [pfs("a"), pfs("b", name="a")]})))
    (rule,) = (rule for rule in REFUSALS if rule.__name__ == "input_names_differ")
    assert list(rule(parsed)) == []


KEPT_VALUES: dict[str, Any] = {
    "transform.image": "ubuntu",
    "transform.image_pull_secrets": ["x"],
    "transform.dockerfile": "x",
    "transform.user": "root",
    "transform.memory_volume": True,
    "parallelism_spec.constant": 4,
    "datum_set_spec": {"number": 1},
    "resource_requests": {"memory": "1G", "gpu": {"type": "x", "number": 1}},
    "resource_limits": {"cpu": 1.5},
    "sidecar_resource_requests": {"cpu": 1},
    "sidecar_resource_limits": {"disk": "1G"},
    "scheduling_spec": {"node_selector": {"a/b": "c"}},
    "tolerations": [{"key": "x"}],
    "pod_spec": "{}",
    "pod_patch": '[{"op": "remove", "path": "/x"}]',
    "autoscaling": True,
    "maximum_expected_uptime": "1h",
    "enable_stats": True,
    "spec_commit": {"id": "x"},
    "input.pfs.lazy": True,
    "input.pfs.propagation_spec": {"never": True},
}


@pytest.mark.parametrize("field", sorted(KEPT))
def test_kept_fields_are_warned_about(field: str) -> None:
    parsed = parse_spec(changed(FILE_SPEC, (field, KEPT_VALUES[field])))
    (warning,) = check_spec(parsed)
    assert warning.field == field
    assert str(warning).startswith(f"{field} has no effect here: ")
    assert parsed.value(field) == KEPT_VALUES[field]


def test_a_parallelism_of_one_is_no_warning() -> None:
    assert check_spec(parse_spec(changed(FILE_SPEC, ("parallelism_spec", {"constant": 1})))) == ()


@pytest.mark.parametrize("policy", ["write-only", "own-reads"])
def test_output_policy(policy: str) -> None:
    metadata = ("metadata", {"annotations": {"sidegate/out": policy}})
    parsed = parse_spec(changed(S3_SPEC, metadata))
    check_spec(parsed)
    assert out_policy(parsed) == policy


def test_output_policy_defaults_to_write_only() -> None:
    assert out_policy(parse_spec(changed(S3_SPEC))) == "write-only"
