"""What of an attempt's output is published, and what forbids publishing it.

Committers leave debris; a committer that moved nothing, or an upload that was
never completed, means rows that would be lost in silence, so the job fails
instead (design, section 4; clients study, section 8).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from sidegate.pfs.staging import Staging
from sidegate.pfs.store import Store

_DEBRIS = re.compile(r"(^|/)(_temporary|__magic[^/]*|\.spark-staging-[^/]*)/").search
_TEMPORARY = re.compile(r"(^|/)_temporary/").search


@dataclass(frozen=True, slots=True)
class Verdict:
    """`refusal` says why nothing may be published; `keep` is false for debris."""

    refusal: str | None
    keep: Callable[[str], bool]


def judge_output(store: Store, staging: Staging) -> Verdict:
    """Return what may be published of a staging that is written to no more."""
    stranded: str | None = None
    named_like_folders: set[str] = set()
    for path, record in staging.files():
        if record.size_bytes == 0:
            continue
        if path.endswith("/"):
            named_like_folders.add(path)
        if stranded is None and _TEMPORARY(path):
            stranded = path
    refusal = _stranded_refusal(stranded) or _upload_refusal(store, staging)
    return Verdict(refusal, lambda path: _is_output(path, named_like_folders))


def _is_output(path: str, named_like_folders: set[str]) -> bool:
    """Whether a path is the job's, not a committer's; an empty `folder/` is a marker."""
    if _DEBRIS(path):
        return False
    return not path.endswith("/") or path in named_like_folders


def _stranded_refusal(path: str | None) -> str | None:
    if path is None:
        return None
    return (
        f"rows were left under _temporary ({path!r}): the job's committer did not move its files to "
        "their place, so the output would be incomplete; see the job's log for why"
    )


def _upload_refusal(store: Store, staging: Staging) -> str | None:
    """Say which open upload is lost data.

    A killed executor leaves uploads of keys that another one wrote in the end,
    and those below debris folders; both are dropped.
    """
    for upload in store.uploads.unfinished(staging.scope):
        if not _DEBRIS(upload.path) and staging.get(upload.path) is None:
            return (
                f"the multipart upload of {upload.path!r} was never completed, so its data would be lost; "
                "complete or abort every upload before the job ends"
            )
    return None
