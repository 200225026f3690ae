"""The one tree of errors; every package subclasses, none invents a root.

An error carries what went wrong as text, what to do about it (`remedy`) and
the facts as data (`details`).  How an error looks to an S3 client or to the
shell is decided elsewhere, by tables over these classes.
"""

from __future__ import annotations


class SidegateError(Exception):
    """Something Sidegate reports on purpose, never a bug.

    `message` is one sentence naming the thing and its value; `remedy`, when
    there is one, is what the user can do; `details` are the same facts as
    data, for JSON output and logs.
    """

    def __init__(self, message: str, *, remedy: str | None = None, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.details = details

    def __str__(self) -> str:
        return f"{self.message} ({self.remedy})" if self.remedy else self.message


class NotFound(SidegateError):
    """A named thing does not exist."""


class AlreadyExists(SidegateError):
    """A thing of that name exists and must not be replaced."""


class Conflict(SidegateError):
    """A compare-and-swap was lost, or the thing is in use."""


class Precondition(SidegateError):
    """A condition that the caller set does not hold."""


class Invalid(SidegateError):
    """The input is malformed or breaks a rule."""


class Corrupt(SidegateError):
    """Stored bytes are not what was written."""


class Unavailable(SidegateError):
    """It cannot be done now, but may work later."""


class Unsupported(SidegateError):
    """The request is understood and deliberately not offered."""


class Denied(SidegateError):
    """The request is understood and policy forbids it."""
