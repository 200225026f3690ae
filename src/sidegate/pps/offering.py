"""Which fields of a spec are known but not run here, as two tables.

A field that would change what the job does is refused rather than ignored; a
field about where or when it runs is kept in the pipeline's record, and the
user is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sidegate.pps.errors import FieldNotRun
from sidegate.pps.spec import Combination, CombinedInput, CronInput, PipelineSpec

_ANY_INPUT = re.compile(r"input(?:\.(?:cross|join|group|union)\[\d+\])*\.")

NOT_RUN: Mapping[str, str] = {
    "tf_job": "run it as a plain process",
    "determined": "remove it",
    "egress": "copy the output commit with any S3 tool after the run",
    "service": "run the service outside the pipeline",
    "spout": "write to a repo through `sidegate serve`",
    "dry_run": "remove it to run the pipeline",
    "transform.err_cmd": "catch the failure inside the process",
    "transform.err_stdin": "remove it",
    "transform.secrets": "set the variables in the environment of the caller",
    "transform.datum_batching": "remove it: each datum has a process",
    "input.pfs.empty_files": "remove it: files come with their content",
    "input.pfs.trigger": "remove it and run the pipeline when its inputs are there",
    "input.pfs.reference": "remove it",
}
"""Field → what to do instead. `input.pfs` stands for every PFS input in the tree."""

KEPT: Mapping[str, str] = {
    "transform.image": "the process runs on this machine, not in the image; the image is recorded",
    "transform.image_pull_secrets": "no image is pulled",
    "transform.dockerfile": "no image is built",
    "transform.user": "the process runs as the caller",
    "transform.memory_volume": "the process sees the disks of this machine",
    "parallelism_spec.constant": "datums run one after another",
    "datum_set_spec": "datums run one after another",
    "resource_requests": "the process takes what this machine has",
    "resource_limits": "the process takes what this machine has",
    "sidecar_resource_requests": "the gateway takes what this machine has",
    "sidecar_resource_limits": "the gateway takes what this machine has",
    "scheduling_spec": "the process runs on this machine",
    "tolerations": "the process runs on this machine",
    "pod_spec": "there is no pod",
    "pod_patch": "there is no pod",
    "autoscaling": "a run ends when its job does",
    "maximum_expected_uptime": "a run ends when its job does",
    "enable_stats": "the job's record and log are always kept",
    "spec_commit": "the spec given is the one that runs",
    "input.pfs.lazy": "files are there before the process starts",
    "input.pfs.propagation_spec": "a run is started by hand",
}
"""Field → what happens instead, for the warning."""

_DEFAULTS: Mapping[str, object] = {"parallelism_spec.constant": 1}


@dataclass(frozen=True, slots=True)
class SpecWarning:
    """A field that is kept and has no effect here."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field} has no effect here: {self.message}"


def find_not_run(spec: PipelineSpec) -> Iterator[FieldNotRun]:
    """Yield the fields and inputs that are known and not run yet."""
    for node in spec.inputs():
        if isinstance(node, CronInput):
            yield _not_run(spec, node.path, "run the pipeline from a cron job")
        elif isinstance(node, CombinedInput) and node.combination is not Combination.CROSS:
            yield _not_run(spec, node.path, "use a cross, or a pipeline per input")
    for path, value in walk_fields(spec.document):
        remedy = NOT_RUN.get(_general(path))
        # In protobuf a flag or list that is empty was not given; a message that is empty was.
        if remedy is not None and (value or isinstance(value, dict)):
            yield _not_run(spec, path, remedy, value)


def find_warnings(spec: PipelineSpec) -> Iterator[SpecWarning]:
    """Yield the fields that are kept without effect, in their order."""
    for path, value in walk_fields(spec.document):
        general = _general(path)
        if general in KEPT and value and value != _DEFAULTS.get(general):
            yield SpecWarning(spec.written(path), KEPT[general])


def walk_fields(document: Mapping[str, object], path: str = "") -> Iterator[tuple[str, object]]:
    """Yield (canonical path, value) of every field, parents first."""
    for name, value in document.items():
        inner = f"{path}.{name}" if path else name
        yield inner, value
        if isinstance(value, dict):
            yield from walk_fields(value, inner)
        elif isinstance(value, list):
            for index, member in enumerate(value):
                if isinstance(member, dict):
                    yield from walk_fields(member, f"{inner}[{index}]")


def _general(path: str) -> str:
    return _ANY_INPUT.sub("input.", path, count=1) if path.startswith("input.") else path


def _not_run(spec: PipelineSpec, path: str, remedy: str, value: object = None) -> FieldNotRun:
    shown = spec.value(path) if value is None else value
    return FieldNotRun(spec.written(path), shown, "this is known and not run yet", remedy=remedy)
