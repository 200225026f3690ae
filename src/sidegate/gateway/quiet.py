"""Finishing open commits after a quiet time.

So that a sync of 10 000 files is one version.  An upload that is not finished
holds the timer, whether it comes in parts or in one piece, and a commit that was
started by hand is left alone.
"""

from __future__ import annotations

import logging

from sidegate.errors import Conflict, NotFound
from sidegate.gateway.activity import Busyness
from sidegate.pfs.commits import Commit
from sidegate.pfs.pending import open_key
from sidegate.pfs.staging import StagingInfo
from sidegate.pfs.store import Store

UPLOAD_HOLDS_SECONDS = 24 * 3600
"""An upload in parts that was begun longer ago is taken for abandoned."""

_log = logging.getLogger(__name__)


def finish_quiet(store: Store, quiet_seconds: float, activity: Busyness) -> list[Commit]:
    """Publish every open commit that nothing was written to for `quiet_seconds`.

    `activity` knows what is being received.
    """
    published: list[Commit] = []
    latest_us = store.clock() - int(quiet_seconds * 1_000_000)
    for info in store.stagings.all():
        if (
            info.purpose == "open"
            and not info.held
            and info.touched_us <= latest_us
            and not _is_busy(store, info, activity)
        ):
            published += _finish(store, info)
    return published


def _is_busy(store: Store, info: StagingInfo, activity: Busyness) -> bool:
    scope = open_key(info.repo, info.branch)
    oldest_us = store.clock() - UPLOAD_HOLDS_SECONDS * 1_000_000
    waiting = (upload for upload in store.uploads.unfinished(scope) if upload.created_us > oldest_us)
    return activity.is_busy(scope) or next(waiting, None) is not None


def _finish(store: Store, info: StagingInfo) -> list[Commit]:
    try:
        commits = store.finish_open(info.repo, info.branch)
    except (Conflict, NotFound) as error:
        # Another process finished it first, or the branch is moving: the next round sees.
        _log.info("open commit of %s@%s was not finished: %s", info.repo, info.branch, error)
        return []
    for commit in commits:
        _log.info("finished %s@%s as commit %s", commit.repo, commit.branch, commit.id)
    return commits
