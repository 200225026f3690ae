"""Which pipeline specs are refused, rule by rule.

Each rule looks at a parsed spec and yields what breaks it; `REFUSALS` is the
list, in the order in which they are asked. Which fields are known but not
offered yet is a table of its own (`offering`). Sources: Pachyderm's checks of
CreatePipeline, and section 9 of the design.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

from sidegate.errors import Invalid
from sidegate.pfs.ids import COMMIT_ID, check_name
from sidegate.pps.errors import SpecError
from sidegate.pps.globs import BadGlob, compile_glob
from sidegate.pps.offering import SpecWarning, find_not_run, find_warnings
from sidegate.pps.reading import join_path
from sidegate.pps.spec import (
    DEFAULT_PROJECT,
    Combination,
    CombinedInput,
    PfsInput,
    PipelineSpec,
)

Rule = Callable[[PipelineSpec], Iterator[SpecError]]

OUT = "out"
OUT_POLICY_ANNOTATION = "sidegate/out"
OUT_POLICIES = ("write-only", "own-reads")
REPROCESS_SPECS = ("until_success", "every_job")
_RESERVED_INPUT_NAMES = (OUT, ".env")
_PIPELINE_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]*", re.ASCII)
_PIPELINE_NAME_CHARACTERS = 51
_INPUT_NAME = re.compile(r"[^/\0=\s]+")
_BUCKET_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]*[a-zA-Z0-9]", re.ASCII)
_BUCKET_NAME_CHARACTERS = range(3, 64)
"""Amazon S3 User Guide, "Bucket naming rules"; capitals and `_` are allowed here as in its old regions."""
_TAKEN_VARIABLES = re.compile(
    r"PATH|HOME|USER|SHELL|TMPDIR|LANG|LC_.*|LD_.*|PYTHON.*|JAVA_.*|AWS_.*|S3_.*|DUCKDB_.*|PACH_.*|PFS_ROOT"
    r"|NO_PROXY|HADOOP_CONF_DIR|SPARK_CONF_DIR"
)


def check_spec(spec: PipelineSpec) -> tuple[SpecWarning, ...]:
    """Raise the first broken rule; return what the user should know."""
    for rule in REFUSALS:
        for error in rule(spec):
            raise error
    return tuple(find_warnings(spec))


def out_policy(spec: PipelineSpec) -> str:
    """Return what the job may do with `out`: `write-only` or `own-reads`."""
    return spec.annotations.get(OUT_POLICY_ANNOTATION, OUT_POLICIES[0])


def refuse(spec: PipelineSpec, path: str, reason: str, remedy: str) -> SpecError:
    """Return the error for the field at a canonical path."""
    return SpecError(spec.written(path), spec.value(path), reason, remedy=remedy)


def pipeline_name(spec: PipelineSpec) -> Iterator[SpecError]:
    """A pipeline name is a repo name: letters, digits, `-`, `_`."""
    name = spec.pipeline.name
    if _PIPELINE_NAME.fullmatch(name) is None:
        yield refuse(
            spec,
            "pipeline.name",
            "a pipeline name begins with a letter or digit and holds letters, digits, - and _ only",
            f"name it {suggest_name(name)!r}, for instance",
        )
    elif COMMIT_ID.fullmatch(name) is not None:
        yield refuse(spec, "pipeline.name", "it looks like a commit's id", "choose another name")
    elif len(name) > _PIPELINE_NAME_CHARACTERS:
        reason = f"a pipeline name has at most {_PIPELINE_NAME_CHARACTERS} characters, this has {len(name)}"
        yield refuse(spec, "pipeline.name", reason, "choose a shorter name")


def suggest_name(name: str) -> str:
    """Return a usable name near an unusable one."""
    return re.sub(r"[^a-zA-Z0-9_-]+", "-", name, flags=re.ASCII).strip("-_") or "pipeline"


def input_has_repo_and_name(spec: PipelineSpec) -> Iterator[SpecError]:
    """A PFS input names a repo, and so has a name."""
    for node in spec.pfs_inputs():
        if not node.repo:
            yield refuse(
                spec, join_path(node.path, "repo"), "an input reads a repo", "write the repo to read from"
            )


def input_name_is_usable(spec: PipelineSpec) -> Iterator[SpecError]:
    """An input's name is a folder, a variable and maybe a bucket."""
    for node in spec.pfs_inputs():
        path = join_path(node.path, "name" if node.name_given else "repo")
        remedy = f"set {spec.written(node.path)}.name to another name"
        if node.name in _RESERVED_INPUT_NAMES:
            yield refuse(spec, path, f"an input cannot be named {node.name!r}: the job's output is", remedy)
        elif node.name in (".", "..") or _INPUT_NAME.fullmatch(node.name) is None:
            yield refuse(spec, path, "the name of an input is the name of a folder", remedy)
        elif not node.s3 and _TAKEN_VARIABLES.fullmatch(node.name):
            reason = (
                f"the job gets its files' path as ${node.name}, which would replace a variable that it needs"
            )
            yield refuse(spec, path, reason, remedy)


def input_names_differ(spec: PipelineSpec) -> Iterator[SpecError]:
    """A name is used once; only members of a union may share one."""
    if spec.input is not None:
        yield from _repeated_names(spec, spec.input, {})


def _repeated_names(spec: PipelineSpec, node: object, taken: dict[str, str]) -> Iterator[SpecError]:
    if isinstance(node, PfsInput):
        if node.name in taken:
            path = join_path(node.path, "name" if node.name_given else "repo")
            reason = f"{taken[node.name]} has the name {node.name!r} already"
            yield refuse(spec, path, reason, f"set {spec.written(node.path)}.name to another name")
        taken[node.name] = spec.written(node.path)
    elif isinstance(node, CombinedInput):
        outside = dict(taken)
        for member in node.members:
            within = dict(outside) if node.combination is Combination.UNION else taken
            yield from _repeated_names(spec, member, within)
            taken.update(within)


def pipeline_differs_from_inputs(spec: PipelineSpec) -> Iterator[SpecError]:
    """`out` also answers under the pipeline's name: no input may have it."""
    for node in spec.pfs_inputs():
        if node.name == spec.pipeline.name:
            yield refuse(
                spec,
                "pipeline.name",
                f"{spec.written(node.path)} has the same name, and the output answers to the pipeline's",
                f"rename the pipeline, or set {spec.written(node.path)}.name to another name",
            )


def pipeline_differs_from_repos(spec: PipelineSpec) -> Iterator[SpecError]:
    """A pipeline does not read the repo that it writes."""
    for node in spec.pfs_inputs():
        if node.repo == spec.pipeline.name:
            reason = "the pipeline would read the repo that it writes"
            yield refuse(spec, join_path(node.path, "repo"), reason, "rename the pipeline or the repo")


def transform_is_given(spec: PipelineSpec) -> Iterator[SpecError]:
    """There is a process to run."""
    if spec.transform is None:
        yield refuse(spec, "transform", "a pipeline runs a process", 'write "transform": {"cmd": ["…"]}')
    elif not spec.transform.cmd or not spec.transform.cmd[0]:
        remedy = 'list the program and its arguments, such as ["python3", "job.py"]'
        yield refuse(spec, "transform.cmd", "there is nothing to run", remedy)


def transform_env_is_usable(spec: PipelineSpec) -> Iterator[SpecError]:
    """A variable's name is not empty and has no `=`."""
    for name in (spec.transform.env if spec.transform else None) or ():
        if not name or "=" in name or "\0" in name:
            path = join_path("transform.env", name)
            yield SpecError(
                spec.written("transform.env") + path[len("transform.env") :],
                name,
                "this cannot be the name of a variable",
                remedy="remove it, or name it with letters, digits and _",
            )


def output_branch_is_given(spec: PipelineSpec) -> Iterator[SpecError]:
    """The output goes to a branch, which has a name."""
    if not spec.output_branch:
        yield refuse(spec, "output_branch", "the output needs a branch", 'remove it for "master"')
        return
    try:
        check_name("branch", spec.output_branch)
    except Invalid as error:
        yield refuse(spec, "output_branch", error.message, error.remedy or "choose another name")


def datum_tries_are_positive(spec: PipelineSpec) -> Iterator[SpecError]:
    """A datum is tried at least once."""
    if spec.datum_tries < 1:
        yield refuse(spec, "datum_tries", "a datum is tried at least once", "remove it for 3")


def output_policy_is_known(spec: PipelineSpec) -> Iterator[SpecError]:
    """The annotation `sidegate/out` has one of two values."""
    if out_policy(spec) not in OUT_POLICIES:
        path = join_path("metadata.annotations", OUT_POLICY_ANNOTATION)
        written = spec.written("metadata.annotations") + path[len("metadata.annotations") :]
        yield SpecError(
            written,
            out_policy(spec),
            "there is no such policy",
            remedy=f"write one of {_quoted(OUT_POLICIES)}",
        )


def reprocess_spec_is_known(spec: PipelineSpec) -> Iterator[SpecError]:
    """`reprocess_spec` has one of two values."""
    value = spec.document.get("reprocess_spec") or REPROCESS_SPECS[0]
    if value not in REPROCESS_SPECS:
        remedy = f"write one of {_quoted(REPROCESS_SPECS)}"
        yield refuse(spec, "reprocess_spec", "there is no such rule", remedy)


def pod_json_is_valid(spec: PipelineSpec) -> Iterator[SpecError]:
    """`pod_spec` is a JSON object, `pod_patch` a JSON patch, both as text."""
    for field, kind, noun in (("pod_spec", dict, "object"), ("pod_patch", list, "list of operations")):
        text = spec.document.get(field)
        if not text:
            continue
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            yield refuse(spec, field, f"it is not JSON: {error}", f"write a JSON {noun} as text")
            continue
        if not isinstance(value, kind):
            yield refuse(spec, field, f"it is JSON, but not a JSON {noun}", f"write a JSON {noun} as text")


def s3_out_without_endpoints(spec: PipelineSpec) -> Iterator[SpecError]:
    """`s3_out` excludes service, spout and enable_stats."""
    if not spec.s3_out:
        return
    for field in ("service", "spout", "enable_stats"):
        if spec.document.get(field) not in (None, False):
            other = spec.written("s3_out")
            yield refuse(spec, field, f"{other} excludes it", f"remove it, or remove {other}")


def service_runs_once(spec: PipelineSpec) -> Iterator[SpecError]:
    """A service has a parallelism of one."""
    constant = spec.document.get("parallelism_spec", {}).get("constant") or 1
    if "service" in spec.document and constant != 1:
        yield refuse(spec, "parallelism_spec.constant", "a service runs once", "write 1, or remove it")


def spout_has_no_input(spec: PipelineSpec) -> Iterator[SpecError]:
    """A spout makes data and reads none."""
    if "spout" in spec.document and spec.input is not None:
        reason = f"a pipeline with {spec.written('spout')} takes no input"
        yield refuse(spec, "input", reason, "remove one of the two")


def input_is_given(spec: PipelineSpec) -> Iterator[SpecError]:
    """A pipeline that is no spout reads something."""
    if spec.input is None and "spout" not in spec.document:
        yield refuse(
            spec, "input", "a pipeline reads something", 'write "input": {"pfs": {"repo": "…", "glob": "/"}}'
        )


def inputs_follow_branches(spec: PipelineSpec) -> Iterator[SpecError]:
    """An input names a branch, never a commit."""
    for node in spec.pfs_inputs():
        if node.commit is not None:
            path = join_path(node.path, "commit")
            yield refuse(spec, path, "inputs follow branches, not commits", "remove it and write branch")


def input_branches_are_names(spec: PipelineSpec) -> Iterator[SpecError]:
    """An input's branch can be the name of one."""
    for node in spec.pfs_inputs():
        try:
            check_name("branch", node.branch)
        except Invalid as error:
            yield refuse(spec, join_path(node.path, "branch"), error.message, error.remedy or "rename it")


def s3_input_shows_whole_commit(spec: PipelineSpec) -> Iterator[SpecError]:
    """An S3 input has `glob: "/"`; without a glob it is refused, too."""
    for node in spec.pfs_inputs():
        path = join_path(node.path, "glob")
        if node.s3 and node.glob != "/":
            reason = "an S3 input always shows the whole commit"
            yield refuse(spec, path, reason, f'set {spec.written(path)} to "/"')
        elif node.glob is None:
            reason = "it says which files make a datum"
            yield refuse(spec, path, reason, 'write "/" for all in one, "/*" for one datum per entry')


def glob_is_readable(spec: PipelineSpec) -> Iterator[SpecError]:
    """A glob has no open bracket and captures nothing."""
    for node in spec.pfs_inputs():
        try:
            compile_glob(node.glob or "/")
        except BadGlob as error:
            path = join_path(node.path, "glob")
            yield refuse(spec, path, f"it cannot be read: {error}", "correct the pattern")


def s3_input_is_not_lazy(spec: PipelineSpec) -> Iterator[SpecError]:
    """`lazy` and `empty_files` speak of files, which an S3 input has not."""
    for node in spec.pfs_inputs():
        for field, is_set in (("lazy", node.lazy), ("empty_files", node.empty_files)):
            if node.s3 and is_set:
                yield refuse(
                    spec,
                    join_path(node.path, field),
                    "an S3 input has no files on disk",
                    "remove it, or remove s3",
                )


def s3_input_is_bucket(spec: PipelineSpec) -> Iterator[SpecError]:
    """The name of an S3 input can be the name of a bucket.

    Pachyderm accepts any name, and S3 clients then cannot reach the input.
    """
    for node in spec.pfs_inputs():
        fits = len(node.name) in _BUCKET_NAME_CHARACTERS and _BUCKET_NAME.fullmatch(node.name)
        if node.s3 and (not fits or ".." in node.name):
            path = join_path(node.path, "name" if node.name_given else "repo")
            yield refuse(
                spec,
                path,
                "an S3 input's name is a bucket's: 3 to 63 letters, digits, - . and _, "
                "with a letter or digit at both ends",
                f"set {spec.written(node.path)}.name to such a name",
            )


def s3_input_is_not_matched(spec: PipelineSpec) -> Iterator[SpecError]:
    """No S3 input lies anywhere below a join, group or union."""
    for node in spec.inputs():
        if not isinstance(node, CombinedInput) or node.combination is Combination.CROSS:
            continue
        for leaf in spec.pfs_inputs():
            if leaf.s3 and leaf.path.startswith(f"{node.path}["):
                reason = f"an S3 input cannot be part of a {node.combination.value}"
                remedy = "use a cross, or read this input as files"
                yield refuse(spec, join_path(leaf.path, "s3"), reason, remedy)


def inputs_share_project(spec: PipelineSpec) -> Iterator[SpecError]:
    """A store is one project: inputs come from the pipeline's own."""
    for node in spec.pfs_inputs():
        if node.project is not None and node.project != spec.pipeline.project:
            own = spec.pipeline.project
            hint = "" if own == DEFAULT_PROJECT else f" ({own!r})"
            yield refuse(
                spec,
                join_path(node.path, "project"),
                f"inputs are read from the pipeline's own project{hint}: a store holds one",
                "remove it",
            )


def _quoted(names: tuple[str, ...]) -> str:
    return " or ".join(json.dumps(name) for name in names)


REFUSALS: tuple[Rule, ...] = (
    pipeline_name,
    input_has_repo_and_name,
    input_name_is_usable,
    input_names_differ,
    pipeline_differs_from_inputs,
    pipeline_differs_from_repos,
    transform_is_given,
    transform_env_is_usable,
    output_branch_is_given,
    datum_tries_are_positive,
    output_policy_is_known,
    reprocess_spec_is_known,
    pod_json_is_valid,
    s3_out_without_endpoints,
    service_runs_once,
    spout_has_no_input,
    input_is_given,
    inputs_follow_branches,
    input_branches_are_names,
    s3_input_shows_whole_commit,
    glob_is_readable,
    s3_input_is_not_lazy,
    s3_input_is_bucket,
    s3_input_is_not_matched,
    inputs_share_project,
    find_not_run,
)
