"""What running pipelines reports on purpose.

Every class hangs on the tree in `sidegate.errors`; which exit code or HTTP
status one gets is decided by the tables of the command line and the gateway.
"""

from __future__ import annotations

import json
from typing import Final

from sidegate.errors import Conflict, Corrupt, Invalid, NotFound, SidegateError, Unavailable, Unsupported


class Missing:
    """The value of a field that the spec does not have."""

    def __repr__(self) -> str:
        return "missing"


MISSING: Final = Missing()
_SHOWN_VALUE_CHARACTERS = 120


def show_value(value: object) -> str:
    """Render a value as JSON in one short line, as the user wrote it."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= _SHOWN_VALUE_CHARACTERS else text[:_SHOWN_VALUE_CHARACTERS] + "…"


class SpecError(Invalid):
    """A pipeline spec cannot be read or breaks a rule.

    `field` is the dotted path as the user spelled it (`input.cross[1].pfs.glob`; empty for the
    whole document), `value` what stands there (`MISSING` when nothing does).
    """

    def __init__(self, field: str, value: object, reason: str, *, remedy: str) -> None:
        if value is MISSING:
            message = f"{field} is missing: {reason}" if field else reason
        else:
            message = f"{field} is {show_value(value)}: {reason}"
        super().__init__(message, remedy=remedy, field=field, value=None if value is MISSING else value)
        self.field = field
        self.value = value
        self.reason = reason


class FieldNotRun(SpecError, Unsupported):
    """A pipeline spec uses a field that is known and not run yet."""


class IllegalTransition(Conflict):
    """A job was told to go where its state does not lead."""


class LaunchFailed(Unavailable):
    """The job's process could not be started."""


class InputNotRepresentable(Unsupported):
    """A path of an input cannot be a file below the job's folder."""


class OutputRejected(Invalid):
    """What the job wrote must not be published."""


class OutputNotCollectable(OutputRejected):
    """The output folder holds something that is not a file or folder."""


class OutputCollision(Conflict):
    """Two datums wrote different content to one path."""


class JobFailed(SidegateError):
    """A job has failed; the message is the reason that its record keeps."""


class JobKilled(SidegateError):
    """A job was stopped or ran out of time; the message is the reason."""


class InputNotReady(NotFound):
    """A job's input branch has no finished commit."""


class JobRecordBroken(Corrupt):
    """A job's record or log does not hold what was written to it."""
