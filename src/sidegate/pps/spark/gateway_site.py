"""What Hadoop's S3A connector is told about a job's gateway.

Decides the settings and how they lie under the user's own `core-site.xml`.
Knows no Spark and writes no file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit
from xml.sax.saxutils import escape, quoteattr

from sidegate.pps.environment import REGION

OUT_BUCKET = "out"

# Nobody checks a signature here, and making one costs: without it a body is sent plain, not in signed chunks.
# A small write on Spark 4.0 then takes 0.46 CPU-s more than to local disk, instead of 0.68 (docs/spark.md).
_CREDENTIALS = "org.apache.hadoop.fs.s3a.AnonymousAWSCredentialsProvider"

TUNING = {
    "fs.s3a.directory.marker.retention": "keep",
    "fs.s3a.create.performance": "true",
    "fs.s3a.performance.flags": "create,mkdir",
}
"""Fewer requests for the same result; a Hadoop that does not know one ignores it.

`keep` is the default since Hadoop 3.4; in 3.3 it saves a bulk delete of all folders above each file
that is written. `create` (3.3.5) and the flags (3.4.1) leave out looking whether a folder is in the
way of a new file. Measured: docs/spark.md.
"""


_STAGING = "fs.s3a.committer.staging.tmp.path"
"""Where tasks tell the driver what they uploaded; Hadoop has `tmp/staging`, below each process's own folder.

Executors in processes of their own tell it where no driver looks: with the directory and partitioned
committers the job then succeeds, and has written nothing (Spark 4.0.5, local-cluster, 2026-11).
"""


def gateway_settings(endpoint: str, access_key: str) -> dict[str, str]:
    """Return what leads S3A to an endpoint, without the prefix `fs.s3a.`."""
    secure = urlsplit(endpoint).scheme == "https"
    return {
        "endpoint": endpoint,
        "endpoint.region": REGION,
        "path.style.access": "true",
        "connection.ssl.enabled": str(secure).lower(),
        "aws.credentials.provider": _CREDENTIALS,
        "access.key": access_key,
        "secret.key": access_key,
    }


def site_properties(endpoint: str, access_key: str, inputs: Iterable[str], staging: Path) -> dict[str, str]:
    """Return the properties for a job's gateway; `staging` is a folder that all its processes see.

    The job's own buckets are named one by one, so that they lead to the gateway even where the user's
    configuration sends all others elsewhere. S3A cannot take a name with an underscore: the gateway
    answers to it with hyphens.
    """
    settings = gateway_settings(endpoint, access_key)
    properties = {f"fs.s3a.{name}": value for name, value in settings.items()} | TUNING
    properties[_STAGING] = str(staging)
    names = [bucket.replace("_", "-") for bucket in inputs]
    for bucket in (*names, OUT_BUCKET):
        properties |= {f"fs.s3a.bucket.{bucket}.{name}": value for name, value in settings.items()}
    return properties


def render_site(properties: Mapping[str, str], included: Sequence[Path] = ()) -> str:
    """Return a `core-site.xml`: properties, then files whose properties win over them."""
    lines = [
        "<?xml version='1.0' encoding='UTF-8'?>",
        "<configuration xmlns:xi='http://www.w3.org/2001/XInclude'>",
    ]
    lines += [
        f"  <property><name>{escape(name)}</name><value>{escape(value)}</value></property>"
        for name, value in properties.items()
    ]
    lines += [f"  <xi:include href={quoteattr(str(path))}/>" for path in included]
    return "\n".join([*lines, "</configuration>", ""])
