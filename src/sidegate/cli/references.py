"""How repos, versions and paths are written on the command line.

    REPO[@REF][:/PATH]      labresults@master:/2024/a.csv

REF is a branch, a commit id or the first digits of one, then any of `^` and
`~N`.  Whether such a thing exists is the store's to say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import click

from sidegate.cli.completing import complete_repos

_PATTERN = re.compile(r"(?P<repo>[^@:/]+)(?:@(?P<reference>[^@:/]+))?(?P<path>:.*)?", re.DOTALL)

DEFAULT_REFERENCE = "master"


@dataclass(frozen=True, slots=True)
class Reference:
    """A version of a repo, and maybe a path in it (without the leading `/`)."""

    repo: str
    reference: str | None = None
    path: str | None = None

    @property
    def version(self) -> str:
        """The branch or commit meant."""
        return self.reference or DEFAULT_REFERENCE

    def __str__(self) -> str:
        text = f"{self.repo}@{self.reference}" if self.reference else self.repo
        return text if self.path is None else f"{text}:/{self.path}"


def parse_reference(text: str) -> Reference:
    """Read `REPO[@REF][:/PATH]`; raises ValueError."""
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not REPO[@REF][:/PATH]")
    path = match["path"]
    return Reference(match["repo"], match["reference"], None if path is None else path[1:].removeprefix("/"))


class ReferenceType(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from click 8.4 on
    """A reference; decides whether a path may, must or must not be there."""

    name = "reference"

    def __init__(self, shape: str) -> None:
        """`shape` is how help shows it: `REPO`, `REPO@BRANCH`, `REPO@REF[:/PATH]`, …"""
        self._shape = shape

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Reference:
        """Read and check the parts; a fault is bad usage."""
        if isinstance(value, Reference):
            return value
        try:
            reference = parse_reference(value)
        except ValueError:
            self.fail(f"{value!r} is not {self._shape}", param, ctx)
        if reference.path is not None and ":/PATH" not in self._shape:
            self.fail(f"{value!r} has a path; give {self._shape}", param, ctx)
        if reference.path is None and self._shape.endswith(":/PATH"):
            self.fail(f"{value!r} has no path; give {self._shape}", param, ctx)
        if reference.reference is not None and "@" not in self._shape:
            self.fail(f"{value!r} has a version; give {self._shape}", param, ctx)
        if reference.reference is None and self._shape.startswith("REPO@BRANCH"):
            return Reference(reference.repo, DEFAULT_REFERENCE, reference.path)
        return reference

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """Return the shape, for help."""
        return self._shape

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        """Offer the repos of the store."""
        return complete_repos(ctx, incomplete)


REPO = ReferenceType("REPO")
REPO_BRANCH = ReferenceType("REPO@BRANCH")
REPO_REF = ReferenceType("REPO@REF")
BRANCH_PATH = ReferenceType("REPO@BRANCH:/PATH")
BRANCH_OPTIONAL_PATH = ReferenceType("REPO@BRANCH[:/PATH]")
REF_PATH = ReferenceType("REPO@REF:/PATH")
REF_OPTIONAL_PATH = ReferenceType("REPO@REF[:/PATH]")
