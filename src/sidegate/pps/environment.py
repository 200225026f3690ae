"""The variables that a job's process sees.

Three layers, later wins: the user's own without what would lead an S3 client
away from the job's gateway, then what the job injects, then `transform.env`.
Contributors come last: they see all of it and lay theirs under the user's.
Builds a mapping from mappings: reads no environment and starts nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

REGION = "us-east-1"

LEADING_AWAY = re.compile(
    r"AWS_(DEFAULT_)?PROFILE"
    r"|AWS_(SESSION|SECURITY)_TOKEN|AWS_(CREDENTIAL|SESSION)_EXPIRATION"
    r"|AWS_ENDPOINT|AWS_ENDPOINT_URL(_S3.*)?|AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"
    r"|AWS_USE_(FIPS|DUALSTACK)_ENDPOINT|AWS_S3_(ENDPOINT|ADDRESSING_STYLE|USE_.*)"
    r"|AWS_VIRTUAL_HOSTED_STYLE_REQUEST|AWS_SKIP_SIGNATURE"
    r"|AWS_(CONFIG|SHARED_CREDENTIALS)_FILE"
    r"|AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|REGION|DEFAULT_REGION)"
    r"|S3_ENDPOINT(_URL)?|DUCKDB_S3_.*"
)
"""Variables that choose endpoint, addressing, identity or profile of an S3 client.

Sources: AWS SDKs and Tools Reference Guide, "Environment variables"; object_store's
AmazonS3ConfigKey; DuckDB httpfs; s5cmd. Endpoints of other services stay: they lead no S3 client away.
An expired AWS_CREDENTIAL_EXPIRATION makes botocore refuse good keys.
"""

_CONFIGURATION_FILES = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")
_NOTHING = "/dev/null"
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


COMPLAINTS = "complaints"
"""A file in an attempt's folder, where what a contributor started says what is missing, a sentence a line.

It is told with the reason when the attempt fails: in the log it stands far above, before a stack of Java.
"""


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one kind of client needs besides; `notes` are sentences for the job's log."""

    variables: Mapping[str, str]
    notes: Sequence[str] = ()


Contributor = Callable[["JobEnvironment", Mapping[str, str]], Contribution]
"""Adds variables for one kind of client, such as a folder of configuration that it wrote.

It is given the variables as they would be without it, and its own win: it keeps what the user set.
"""


@dataclass(frozen=True, slots=True)
class InputVariable:
    """An input as the process sees it; `path` is None for an S3 input."""

    name: str
    commit_id: str
    path: str | None = None


@dataclass(frozen=True, slots=True)
class JobEnvironment:
    """What the injected variables are made from.

    `endpoint` is the gateway's URL (None: the job uses no S3), `access_key` any text that tells the
    gateway which job asks; `pfs_root` the folder that holds the inputs' files; `folder` is the
    attempt's own, for what contributors write.
    """

    job_id: str
    datum_id: str
    output_commit_id: str
    endpoint: str | None
    access_key: str
    pfs_root: str
    inputs: Sequence[InputVariable] = ()
    contributors: Sequence[Contributor] = ()
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class ProcessEnvironment:
    """The variables, and the names of the user's that were taken out.

    `removed` and `replaced` are sorted and hold no values: those may be secrets.
    """

    variables: Mapping[str, str]
    removed: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def describe(self) -> list[str]:
        """Return sentences for the job's log."""
        sentences = []
        if self.removed:
            sentences.append(f"taken out of the environment: {', '.join(self.removed)}")
        if self.replaced:
            sentences.append(f"replaced in the environment: {', '.join(self.replaced)}")
        return [*sentences, *self.notes]


def build_environment(
    job: JobEnvironment,
    user: Mapping[str, str],
    transform: Mapping[str, str],
    *,
    configuration_exists: bool = False,
) -> ProcessEnvironment:
    """Build the environment of one attempt's process.

    `configuration_exists` says that the user has AWS configuration files, so that hiding them is
    told. Values of `transform` are taken as they are: `$` is not expanded.
    """
    if job.endpoint is None:
        variables = {**user, **job_variables(job), **transform}
        return ProcessEnvironment(variables)
    injected = {
        **job_variables(job),
        **s3_variables(job.endpoint, job.access_key),
        **no_proxy(job.endpoint, user),
    }
    away = {name for name in user if LEADING_AWAY.fullmatch(name)}
    kept = {name: value for name, value in user.items() if name not in away}
    variables = {**kept, **injected, **transform}
    notes = []
    if configuration_exists and not any(name in transform for name in _CONFIGURATION_FILES):
        notes.append("the AWS configuration files of the user are not read")
    if any(user.get(name) for name in _PROXIES):
        notes.append("NO_PROXY covers the gateway")
    for contribute in job.contributors:
        contribution = contribute(job, variables)
        variables.update(contribution.variables)
        notes.extend(contribution.notes)
    return ProcessEnvironment(
        variables,
        removed=tuple(sorted(name for name in away if name not in variables)),
        replaced=tuple(sorted(name for name in away if name in variables and variables[name] != user[name])),
        notes=tuple(notes),
    )


def job_variables(job: JobEnvironment) -> dict[str, str]:
    """Return what every job sees: its ids, and where its inputs are."""
    variables = {
        "PACH_JOB_ID": job.job_id,
        "PACH_OUTPUT_COMMIT_ID": job.output_commit_id,
        "PACH_DATUM_ID": job.datum_id,
        "PFS_ROOT": job.pfs_root,
    }
    for given in job.inputs:
        variables[f"{given.name}_COMMIT"] = given.commit_id
        if given.path is not None:
            variables[given.name] = given.path
    return variables


def s3_variables(endpoint: str, access_key: str) -> dict[str, str]:
    """Return what leads S3 clients of all kinds to an endpoint.

    Environment wins over configuration files in the AWS SDKs except for addressing style, FIPS and
    "ignore configured endpoints", so those files are hidden as a whole.
    """
    address = urlsplit(endpoint).netloc
    return {
        "S3_ENDPOINT": endpoint,
        "S3_ENDPOINT_URL": endpoint,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": access_key,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": _NOTHING,
        "AWS_SHARED_CREDENTIALS_FILE": _NOTHING,
        "DUCKDB_S3_ENDPOINT": address,
        "DUCKDB_S3_USE_SSL": "false",
    }


def no_proxy(endpoint: str, user: Mapping[str, str]) -> dict[str, str]:
    """Return NO_PROXY in both spellings, with the gateway added."""
    hosts: list[str] = []
    for name in ("no_proxy", "NO_PROXY"):
        hosts.extend(host.strip() for host in user.get(name, "").split(","))
    hosts.extend((*_LOOPBACK, urlsplit(endpoint).hostname or ""))
    joined = ",".join(dict.fromkeys(host for host in hosts if host))
    return {"NO_PROXY": joined, "no_proxy": joined}
