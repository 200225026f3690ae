"""Glob patterns over the paths of a commit.

The semantics are Pachyderm's: a pattern names files and folders alike, `*`
and `?` stop at a slash, `**` does not, and `[…]`, `[!…]`, `{a,b}` and `\\` do what
they do in a shell.  Only `/` names the root.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


class BadGlob(ValueError):
    """A pattern cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class Glob:
    """A compiled pattern; paths begin with a slash and end without one."""

    pattern: str
    expression: re.Pattern[str]

    def matches(self, path: str) -> bool:
        """Say whether the pattern names this file or folder."""
        if path == "/":
            return self.pattern == "/"
        return self.expression.fullmatch(path) is not None

    def literal_prefix(self) -> str:
        """Return how every matching path begins, for seeking."""
        return re.split(r"[*?\[{\\(]", self.pattern, maxsplit=1)[0]


def compile_glob(pattern: str) -> Glob:
    """Compile an absolute pattern; BadGlob for one that cannot be read."""
    return Glob(pattern, re.compile(_Translation(pattern).translate(), re.DOTALL))


class _Translation:
    """One pass over a pattern, from glob to regular expression."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.depth = 0

    def translate(self) -> str:
        parts = []
        while self.at < len(self.pattern):
            parts.append(self._next())
        if self.depth:
            raise BadGlob("a { has no }")
        return "".join(parts)

    def _next(self) -> str:
        character = self.pattern[self.at]
        self.at += 1
        if character == "*":
            start = self.at
            while self.pattern.startswith("*", self.at):
                self.at += 1
            return ".*" if self.at > start else "[^/]*"
        if character == "?":
            return "[^/]"
        if character == "[":
            return self._character_class()
        if character == "\\":
            return self._escaped()
        if character in "()":
            raise BadGlob("parentheses capture text for join and group only; escape them as \\( and \\)")
        return self._brace(character)

    def _brace(self, character: str) -> str:
        if character == "{":
            self.depth += 1
            return "(?:"
        if character == "}" and self.depth:
            self.depth -= 1
            return ")"
        if character == "," and self.depth:
            return "|"
        return re.escape(character)

    def _escaped(self) -> str:
        if self.at == len(self.pattern):
            raise BadGlob("it ends in a lone \\")
        self.at += 1
        return re.escape(self.pattern[self.at - 1])

    def _character_class(self) -> str:
        negated = self.pattern[self.at : self.at + 1] in ("!", "^")
        self.at += negated
        end = self.pattern.find("]", self.at + 1)
        if end < 0:
            raise BadGlob("a [ has no ]")
        members = self.pattern[self.at : end]
        self.at = end + 1
        for low, high in re.findall(r"(.)-(.)", members):
            if low > high:
                raise BadGlob(f"the range {low}-{high} is backwards")
        escaped = re.sub(r"([\[\]\\^&~|])", r"\\\1", members)
        return f"(?![/])[{'^' if negated else ''}{escaped}]"
