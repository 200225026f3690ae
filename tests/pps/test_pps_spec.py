"""Specs: spelling, types, defaults, and messages that name the field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from specs import FILE_SPEC, S3_SPEC, changed, pfs

from sidegate.pps.errors import SpecError
from sidegate.pps.spec import Combination, CombinedInput, CronInput, PfsInput, clean_glob, parse_spec

DOCUMENTED = """
{"pipeline": {"name": "s3_protocol_enabled_pipeline"},
 "input": {"pfs": {"glob": "/", "repo": "labresults", "name": "labresults", "s3": true}},
 "transform": {"cmd": ["sh"], "stdin": ["aws --endpoint-url $S3_ENDPOINT s3 ls"],
               "image": "pachyderm/ubuntu-with-s3-clients:v0.0.1"},
 "s3_out": true}
"""

YAML_CAMEL = """
pipeline:
  name: s3_protocol_enabled_pipeline
input:
  pfs: {glob: /, repo: labresults, name: labresults, s3: true}
transform:
  cmd: [sh]
  stdin:
  - aws --endpoint-url $S3_ENDPOINT s3 ls
  image: pachyderm/ubuntu-with-s3-clients:v0.0.1
s3Out: true
"""


def test_the_documented_example() -> None:
    spec = parse_spec(DOCUMENTED)
    assert spec.pipeline.name == "s3_protocol_enabled_pipeline"
    assert spec.s3_out
    assert spec.input == PfsInput(
        path="input.pfs", name="labresults", repo="labresults", glob="/", s3=True, name_given=True
    )
    assert spec.transform is not None
    assert spec.transform.cmd == ("sh",)
    assert spec.transform.stdin_bytes() == b"aws --endpoint-url $S3_ENDPOINT s3 ls\n"
    assert spec.transform.image == "pachyderm/ubuntu-with-s3-clients:v0.0.1"


def test_yaml_and_camel_case_say_the_same() -> None:
    assert parse_spec(YAML_CAMEL).document == parse_spec(DOCUMENTED).document


def test_defaults() -> None:
    spec = parse_spec(changed(FILE_SPEC))
    assert (spec.output_branch, spec.datum_tries, spec.s3_out) == ("master", 3, False)
    assert (spec.datum_timeout_seconds, spec.job_timeout_seconds) == (None, None)
    (given,) = spec.pfs_inputs()
    assert (given.name, given.branch, given.repo_type, given.project) == (
        "labresults",
        "master",
        "user",
        None,
    )
    assert spec.pipeline.project == "default"


def test_all_values_arrive() -> None:
    spec = parse_spec(
        changed(
            S3_SPEC,
            ("output_branch", "nightly"),
            ("datum_tries", 5),
            ("datumTimeout", "90s"),
            ("jobTimeout", "1h"),
            ("description", "means"),
            ("metadata", {"annotations": {"sidegate/out": "own-reads"}, "labels": {"team": "lab"}}),
            ("transform.env", {"A": "1"}),
            ("transform.acceptReturnCode", [3, 4]),
            ("transform.working_dir", "work"),
        )
    )
    assert (spec.output_branch, spec.datum_tries, spec.description) == ("nightly", 5, "means")
    assert (spec.datum_timeout_seconds, spec.job_timeout_seconds) == (90.0, 3600.0)
    assert spec.annotations == {"sidegate/out": "own-reads"}
    assert spec.labels == {"team": "lab"}
    assert spec.transform is not None
    assert spec.transform.env == {"A": "1"}
    assert spec.transform.accept_return_code == {3, 4}
    assert spec.transform.working_dir == "work"


def test_input_tree() -> None:
    tree = {"cross": [pfs("a"), {"union": [pfs("b"), {"cron": {"name": "tick", "spec": "@daily"}}]}]}
    spec = parse_spec(changed(FILE_SPEC, ("input", tree)))
    kinds = [
        node.combination if isinstance(node, CombinedInput) else type(node).__name__ for node in spec.inputs()
    ]
    assert kinds == [Combination.CROSS, "PfsInput", Combination.UNION, "PfsInput", "CronInput"]
    assert [node.path for node in spec.pfs_inputs()] == ["input.cross[0].pfs", "input.cross[1].union[0].pfs"]
    assert isinstance(list(spec.inputs())[-1], CronInput)


@pytest.mark.parametrize("value", [3, 3.0, "3"])
def test_integers_as_protobuf_writes_them(value: object) -> None:
    assert parse_spec(changed(FILE_SPEC, ("datum_tries", value))).datum_tries == 3


def test_null_is_absent() -> None:
    nulls = ("egress", None), ("datum_tries", None), ("tf_job", None), ("output_branch", None)
    spec = parse_spec(changed(FILE_SPEC, *nulls))
    assert spec.document == parse_spec(changed(FILE_SPEC)).document
    assert (spec.datum_tries, spec.output_branch) == (3, "master")


@pytest.mark.parametrize(
    ("glob", "cleaned"),
    [
        ("/", "/"),
        (".", "/"),
        ("//", "/"),
        ("*", "/*"),
        ("/a/", "/a"),
        ("//a//*.csv", "/a/*.csv"),
        ("/**", "/**"),
    ],
)
def test_globs_are_made_absolute(glob: str, cleaned: str) -> None:
    assert clean_glob(glob) == cleaned


@pytest.mark.parametrize(
    ("path", "value", "field", "remedy"),
    [
        ("s3_ouut", True, "s3_ouut", "did you mean 's3_out'?"),
        ("S3Out", True, "S3Out", "did you mean 's3Out'?"),
        ("transform.comand", ["sh"], "transform.comand", "did you mean 'cmd'?"),
        ("input.pfs.globs", "/", "input.pfs.globs", "did you mean 'glob'?"),
        ("zzz", 1, "zzz", "remove it; known here are"),
        ("s3_out", "true", "s3_out", "write true or false"),
        ("s3_out", 1, "s3_out", "write true or false"),
        ("datum_tries", "three", "datum_tries", "write a whole number"),
        ("datum_tries", 1.5, "datum_tries", "write a whole number"),
        ("datum_tries", True, "datum_tries", "write a whole number"),
        ("transform.cmd", "sh -c true", "transform.cmd", "write a list of texts"),
        ("transform.cmd", ["sh", 1], "transform.cmd[1]", "put the value in quotes"),
        ("transform.env", {"A": 1}, "transform.env.A", "put the value in quotes"),
        ("transform.env", {"a.b": True}, 'transform.env["a.b"]', "put the value in quotes"),
        ("transform.env", ["A=1"], "transform.env", "write a mapping of texts to texts"),
        ("transform.accept_return_code", [1, "x"], "transform.accept_return_code[1]", "write a whole number"),
        ("transform", ["sh"], "transform", "write a mapping of fields"),
        ("transform.secrets", {"name": "x"}, "transform.secrets", "write a list of mappings"),
        ("transform.stdin", ["a\0b"], "transform.stdin[0]", "remove the character"),
        ("job_timeout", 30, "job_timeout", "write a duration"),
        ("job_timeout", "30", "job_timeout", "write a duration"),
        ("job_timeout", "0s", "job_timeout", "remove it for no time-out"),
        ("input.pfs.repo", 7, "input.pfs.repo", "put the value in quotes"),
        ("resource_requests", {"cpu": "much"}, "resource_requests.cpu", "write a number"),
        ("input", {"cross": {"pfs": {}}}, "input.cross", "write a list of inputs"),
        ("input", {"cross": [pfs("a"), {"pfs": {"globb": "/"}}]}, "input.cross[1].pfs.globb", "'glob'"),
        ("input", {"cross": []}, "input.cross", "list at least one input"),
        ("input", {}, "input", "write one of pfs, cross"),
        ("input", {"pfs": {"repo": "a"}, "cron": {}}, "input", "combine several with cross"),
        ("input", {"cross": [{}]}, "input.cross[0]", "write one of pfs, cross"),
        ("pipeline", {}, "pipeline.name", 'write "pipeline"'),
        ("pipeline.name", "", "pipeline.name", 'write "pipeline"'),
    ],
)
def test_refusals_name_field_value_and_remedy(path: str, value: Any, field: str, remedy: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec(changed(FILE_SPEC, (path, value)))
    error = caught.value
    assert error.field == field
    assert error.message.startswith(f"{field} is ")
    assert remedy in (error.remedy or "")
    assert error.details["field"] == field


def test_value_is_kept_as_data() -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec(changed(FILE_SPEC, ("datum_tries", "three")))
    assert caught.value.value == "three"
    assert '"three"' in caught.value.message


def test_both_spellings_of_one_field_are_refused() -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec(json.dumps({**S3_SPEC, "s3Out": True}))
    assert caught.value.field == "s3Out"
    assert "s3_out" in caught.value.message


def test_messages_keep_the_users_spelling() -> None:
    spec = parse_spec(changed(FILE_SPEC, ("transform.workingDir", "x"), ("datumTries", 2)))
    assert spec.written("transform.working_dir") == "transform.workingDir"
    assert spec.written("datum_tries") == "datumTries"
    assert spec.written("transform.user") == "transform.user"
    assert spec.written("service.ip") == "service.ip"
