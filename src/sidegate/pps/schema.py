"""Every field a pipeline spec can have, and of which type, as a table.

Source: the fields of Pachyderm's CreatePipelineRequest (2.11), and
`enable_stats` of 1.x.  Decides types only: which values are allowed, and what
is run, is decided by `rules`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass


class Kind(enum.Enum):
    """The type of a single value; the text is how messages call it."""

    TEXT = "text"
    FLAG = "true or false"
    INTEGER = "a whole number"
    NUMBER = "a number"
    DURATION = 'a duration such as "30s" or "1h30m"'
    TEXTS = "a list of texts"
    INTEGERS = "a list of whole numbers"
    TEXT_MAP = "a mapping of texts to texts"
    INPUT = "an input"
    INPUTS = "a list of inputs"
    ANY = "any value"


@dataclass(frozen=True, slots=True)
class Message:
    """A mapping with known fields; `repeated` for a list of them."""

    fields: Mapping[str, Kind | Message]
    repeated: bool = False


_RESOURCES = Message(
    {
        "memory": Kind.TEXT,
        "cpu": Kind.NUMBER,
        "gpu": Message({"type": Kind.TEXT, "number": Kind.INTEGER}),
        "disk": Kind.TEXT,
    }
)
_SERVICE = Message(
    {"internal_port": Kind.INTEGER, "external_port": Kind.INTEGER, "ip": Kind.TEXT, "type": Kind.TEXT}
)
_PROJECT = Message({"name": Kind.TEXT})

INPUT = Message(
    {
        "pfs": Message(
            {
                "project": Kind.TEXT,
                "name": Kind.TEXT,
                "repo": Kind.TEXT,
                "repo_type": Kind.TEXT,
                "branch": Kind.TEXT,
                "commit": Kind.TEXT,
                "glob": Kind.TEXT,
                "join_on": Kind.TEXT,
                "outer_join": Kind.FLAG,
                "group_by": Kind.TEXT,
                "lazy": Kind.FLAG,
                "empty_files": Kind.FLAG,
                "s3": Kind.FLAG,
                "trigger": Message(
                    {
                        "branch": Kind.TEXT,
                        "all": Kind.FLAG,
                        "rate_limit_spec": Kind.TEXT,
                        "size": Kind.TEXT,
                        "commits": Kind.INTEGER,
                        "cron_spec": Kind.TEXT,
                    }
                ),
                "propagation_spec": Message({"never": Kind.FLAG}),
                "reference": Kind.FLAG,
            }
        ),
        "cross": Kind.INPUTS,
        "join": Kind.INPUTS,
        "group": Kind.INPUTS,
        "union": Kind.INPUTS,
        "cron": Message(
            {
                "name": Kind.TEXT,
                "project": Kind.TEXT,
                "repo": Kind.TEXT,
                "commit": Kind.TEXT,
                "spec": Kind.TEXT,
                "overwrite": Kind.FLAG,
                "start": Kind.TEXT,
            }
        ),
    }
)

TRANSFORM = Message(
    {
        "image": Kind.TEXT,
        "cmd": Kind.TEXTS,
        "err_cmd": Kind.TEXTS,
        "env": Kind.TEXT_MAP,
        "secrets": Message(
            {"name": Kind.TEXT, "key": Kind.TEXT, "mount_path": Kind.TEXT, "env_var": Kind.TEXT},
            repeated=True,
        ),
        "image_pull_secrets": Kind.TEXTS,
        "stdin": Kind.TEXTS,
        "err_stdin": Kind.TEXTS,
        "accept_return_code": Kind.INTEGERS,
        "debug": Kind.FLAG,
        "user": Kind.TEXT,
        "working_dir": Kind.TEXT,
        "dockerfile": Kind.TEXT,
        "memory_volume": Kind.FLAG,
        "datum_batching": Kind.FLAG,
    }
)

PIPELINE_SPEC = Message(
    {
        "pipeline": Message({"project": _PROJECT, "name": Kind.TEXT}),
        "tf_job": Kind.ANY,
        "transform": TRANSFORM,
        "parallelism_spec": Message({"constant": Kind.INTEGER}),
        "egress": Message(
            {
                "URL": Kind.TEXT,
                "object_storage": Message({"url": Kind.TEXT}),
                "sql_database": Message(
                    {
                        "url": Kind.TEXT,
                        "file_format": Message({"type": Kind.TEXT, "columns": Kind.TEXTS}),
                        "secret": Message({"name": Kind.TEXT, "key": Kind.TEXT}),
                    }
                ),
            }
        ),
        "update": Kind.FLAG,
        "output_branch": Kind.TEXT,
        "s3_out": Kind.FLAG,
        "enable_stats": Kind.FLAG,
        "resource_requests": _RESOURCES,
        "resource_limits": _RESOURCES,
        "sidecar_resource_limits": _RESOURCES,
        "sidecar_resource_requests": _RESOURCES,
        "input": Kind.INPUT,
        "description": Kind.TEXT,
        "reprocess": Kind.FLAG,
        "service": _SERVICE,
        "spout": Message({"service": _SERVICE}),
        "datum_set_spec": Message(
            {"number": Kind.INTEGER, "size_bytes": Kind.INTEGER, "per_worker": Kind.INTEGER}
        ),
        "datum_timeout": Kind.DURATION,
        "job_timeout": Kind.DURATION,
        "salt": Kind.TEXT,
        "datum_tries": Kind.INTEGER,
        "scheduling_spec": Message({"node_selector": Kind.TEXT_MAP, "priority_class_name": Kind.TEXT}),
        "pod_spec": Kind.TEXT,
        "pod_patch": Kind.TEXT,
        "spec_commit": Kind.ANY,
        "metadata": Message({"annotations": Kind.TEXT_MAP, "labels": Kind.TEXT_MAP}),
        "reprocess_spec": Kind.TEXT,
        "autoscaling": Kind.FLAG,
        "tolerations": Kind.ANY,
        "dry_run": Kind.FLAG,
        "determined": Kind.ANY,
        "maximum_expected_uptime": Kind.DURATION,
    }
)
