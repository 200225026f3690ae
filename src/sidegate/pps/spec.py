"""A pipeline spec as frozen values.

`parse_spec` decides syntax, names and types; whether the values make sense
together is decided by `rules`, and nothing here runs anything.
"""

from __future__ import annotations

import enum
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sidegate.pps.document import parse_document
from sidegate.pps.durations import parse_duration_seconds
from sidegate.pps.errors import MISSING, SpecError
from sidegate.pps.reading import Reading, join_path, missing_field
from sidegate.pps.schema import PIPELINE_SPEC

DEFAULT_BRANCH = "master"
DEFAULT_DATUM_TRIES = 3
DEFAULT_PROJECT = "default"
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


class Combination(enum.Enum):
    """How an input combines its members."""

    CROSS = "cross"
    JOIN = "join"
    GROUP = "group"
    UNION = "union"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline's name; its output repo has the same."""

    name: str
    project: str = DEFAULT_PROJECT


@dataclass(frozen=True, slots=True)
class PfsInput:
    """A repo's branch as input; `path` is where it stands in the spec."""

    path: str
    name: str
    repo: str
    branch: str = DEFAULT_BRANCH
    glob: str | None = None
    s3: bool = False
    project: str | None = None
    repo_type: str = "user"
    commit: str | None = None
    lazy: bool = False
    empty_files: bool = False
    trigger: Mapping[str, object] | None = None
    reference: bool = False
    propagation_never: bool = False
    name_given: bool = False


@dataclass(frozen=True, slots=True)
class CombinedInput:
    """Several inputs as one: a cross, join, group or union."""

    path: str
    combination: Combination
    members: tuple[Input, ...]


@dataclass(frozen=True, slots=True)
class CronInput:
    """A clock as input; recognised, not run yet."""

    path: str
    name: str
    spec: str


Input = PfsInput | CombinedInput | CronInput


@dataclass(frozen=True, slots=True)
class Transform:
    """The process to run for each datum."""

    cmd: tuple[str, ...]
    stdin: tuple[str, ...] = ()
    env: Mapping[str, str] | None = None
    image: str | None = None
    accept_return_code: frozenset[int] = frozenset()
    working_dir: str | None = None
    user: str | None = None
    err_cmd: tuple[str, ...] = ()
    err_stdin: tuple[str, ...] = ()

    def stdin_bytes(self) -> bytes:
        """Return what the process reads on standard input: each line ended."""
        return "".join(f"{line}\n" for line in self.stdin).encode()


@dataclass(frozen=True, slots=True)
class PipelineSpec:
    """One pipeline spec.

    `document` is the whole spec with snake_case names, without null fields: what is kept and
    compared to tell versions apart. `spelling` maps its paths to the user's spelling.
    """

    pipeline: Pipeline
    transform: Transform | None
    input: Input | None
    s3_out: bool
    output_branch: str
    datum_tries: int
    datum_timeout_seconds: float | None
    job_timeout_seconds: float | None
    description: str
    annotations: Mapping[str, str]
    labels: Mapping[str, str]
    document: Mapping[str, Any]
    spelling: Mapping[str, str]

    def written(self, path: str) -> str:
        """Return a canonical path as the user spelled it, as far as they did."""
        known = path
        while known and known not in self.spelling:
            known = known[: max(known.rfind("."), known.rfind("["), 0)]
        return self.spelling[known] + path[len(known) :] if known else path

    def value(self, path: str) -> object:
        """Return what stands at a canonical path, or MISSING."""
        value: Any = self.document
        for index, key in _STEP.findall(path):
            try:
                value = value[int(index)] if index else value[key]
            except (KeyError, IndexError, TypeError):
                return MISSING
        return value

    def pfs_inputs(self) -> tuple[PfsInput, ...]:
        """Return the PFS inputs of the tree, in order."""
        return tuple(node for node in self.inputs() if isinstance(node, PfsInput))

    def inputs(self) -> Iterator[Input]:
        """Yield every node of the input tree, parents first."""
        stack = [self.input] if self.input is not None else []
        while stack:
            node = stack.pop()
            yield node
            if isinstance(node, CombinedInput):
                stack.extend(reversed(node.members))


def parse_spec(text: str) -> PipelineSpec:
    """Parse JSON or YAML text; SpecError names field, value and remedy."""
    reading = Reading()
    document = reading.read_message(parse_document(text), PIPELINE_SPEC, "", "")
    pipeline = _build_pipeline(document, reading)
    metadata = document.get("metadata", {})
    return PipelineSpec(
        pipeline=pipeline,
        transform=_build_transform(document["transform"]) if "transform" in document else None,
        input=_build_input(document["input"], "input", reading) if "input" in document else None,
        s3_out=document.get("s3_out", False),
        output_branch=document.get("output_branch", DEFAULT_BRANCH),
        datum_tries=document.get("datum_tries", DEFAULT_DATUM_TRIES),
        datum_timeout_seconds=_seconds(document.get("datum_timeout")),
        job_timeout_seconds=_seconds(document.get("job_timeout")),
        description=document.get("description", ""),
        annotations=metadata.get("annotations", {}),
        labels=metadata.get("labels", {}),
        document=document,
        spelling=reading.spelling,
    )


def _seconds(text: str | None) -> float | None:
    return None if text is None else parse_duration_seconds(text)


def _build_pipeline(document: Mapping[str, Any], reading: Reading) -> Pipeline:
    pipeline = document.get("pipeline", {})
    if not pipeline.get("name"):
        written = reading.spelling.get("pipeline.name", "pipeline.name")
        value = pipeline.get("name", MISSING)
        raise SpecError(written, value, "a pipeline needs a name", remedy='write "pipeline": {"name": "…"}')
    return Pipeline(pipeline["name"], pipeline.get("project", {}).get("name") or DEFAULT_PROJECT)


def _build_transform(fields: Mapping[str, Any]) -> Transform:
    return Transform(
        cmd=tuple(fields.get("cmd", ())),
        stdin=tuple(fields.get("stdin", ())),
        env=fields.get("env", {}),
        image=fields.get("image") or None,
        accept_return_code=frozenset(fields.get("accept_return_code", ())),
        working_dir=fields.get("working_dir") or None,
        user=fields.get("user") or None,
        err_cmd=tuple(fields.get("err_cmd", ())),
        err_stdin=tuple(fields.get("err_stdin", ())),
    )


def _build_input(fields: Mapping[str, Any], path: str, reading: Reading) -> Input:
    written = reading.spelling.get(path, path)
    if len(fields) != 1:
        kinds = "pfs, cross, join, group, union or cron"
        if not fields:
            raise missing_field(written, "an input needs a kind", f"write one of {kinds}")
        raise SpecError(
            written,
            sorted(fields),
            "an input has one kind",
            remedy="keep one of them, or combine several with cross",
        )
    (kind,) = fields
    inner_path = join_path(path, kind)
    if kind == "pfs":
        return _build_pfs_input(fields["pfs"], inner_path)
    if kind == "cron":
        return CronInput(inner_path, fields["cron"].get("name", ""), fields["cron"].get("spec", ""))
    members = fields[kind]
    if not members:
        raise SpecError(
            reading.spelling[inner_path],
            members,
            "there is nothing to combine",
            remedy="list at least one input",
        )
    built = tuple(_build_input(member, join_path(inner_path, i), reading) for i, member in enumerate(members))
    return CombinedInput(inner_path, Combination(kind), built)


def _build_pfs_input(fields: Mapping[str, Any], path: str) -> PfsInput:
    return PfsInput(
        path=path,
        name=fields.get("name") or fields.get("repo", ""),
        repo=fields.get("repo", ""),
        branch=fields.get("branch") or DEFAULT_BRANCH,
        glob=clean_glob(fields["glob"]) if fields.get("glob") else None,
        s3=fields.get("s3", False),
        project=fields.get("project") or None,
        repo_type=fields.get("repo_type") or "user",
        commit=fields.get("commit") or None,
        lazy=fields.get("lazy", False),
        empty_files=fields.get("empty_files", False),
        trigger=fields.get("trigger"),
        reference=fields.get("reference", False),
        propagation_never=fields.get("propagation_spec", {}).get("never", False),
        name_given=bool(fields.get("name")),
    )


def clean_glob(glob: str) -> str:
    """Make a glob absolute and plain: `.` and `//` become `/`."""
    return "/" + posixpath.normpath("/" + glob).lstrip("/")
