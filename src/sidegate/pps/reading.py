"""Brings a document to the types and names of the schema.

Keys may be written in snake_case or camelCase; the result has snake_case
only, and remembers how each field was spelled so that messages can say it.
Decides nothing about values beyond their type.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sidegate.pps.durations import parse_duration_seconds
from sidegate.pps.errors import MISSING, SpecError
from sidegate.pps.schema import INPUT, Kind, Message

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INTEGER_TEXT = re.compile(r"-?[0-9]{1,19}")


def join_path(path: str, key: str | int) -> str:
    """Append a key or index to a dotted path."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if _PLAIN_KEY.fullmatch(key) is None:
        return f'{path}["{key}"]'
    return f"{path}.{key}" if path else key


def camel_case(name: str) -> str:
    """Return the camelCase spelling that protobuf gives a field name."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


@dataclass(slots=True)
class Reading:
    """A document being read; `spelling` maps canonical to written paths."""

    spelling: dict[str, str] = field(default_factory=dict)

    def read_message(self, value: object, message: Message, path: str, written: str) -> dict[str, Any]:
        """Return the mapping with canonical keys; null fields are left out."""
        if not isinstance(value, dict):
            raise wrong_type(written or "the document", value, "a mapping of fields")
        names = {name: name for name in message.fields}
        names.update((camel_case(name), name) for name in message.fields)
        result: dict[str, Any] = {}
        for key, inner in value.items():
            inner_written = join_path(written, key)
            name = names.get(key)
            if name is None:
                raise _unknown_field(inner_written, key, inner, names)
            inner_path = join_path(path, name)
            if inner_path in self.spelling:
                other = self.spelling[inner_path]
                raise SpecError(inner_written, inner, f"{other} is the same field", remedy="keep one of them")
            self.spelling[inner_path] = inner_written
            if inner is not None:
                result[name] = self._read(inner, message.fields[name], inner_path, inner_written)
        return result

    def _read(self, value: object, kind: Kind | Message, path: str, written: str) -> object:
        if isinstance(kind, Message):
            if not kind.repeated:
                return self.read_message(value, kind, path, written)
            return self._read_list(value, kind, path, written, "a list of mappings")
        if kind is Kind.INPUT:
            return self.read_message(value, INPUT, path, written)
        if kind is Kind.INPUTS:
            return self._read_list(value, INPUT, path, written, Kind.INPUTS.value)
        return _READERS[kind](value, written)

    def _read_list(
        self, value: object, message: Message, path: str, written: str, expected: str
    ) -> list[Any]:
        if not isinstance(value, list):
            raise wrong_type(written, value, expected)
        result = []
        for index, inner in enumerate(value):
            inner_path, inner_written = join_path(path, index), join_path(written, index)
            self.spelling[inner_path] = inner_written
            result.append(self.read_message(inner, message, inner_path, inner_written))
        return result


def wrong_type(written: str, value: object, expected: str) -> SpecError:
    """Return the error for a value of the wrong type."""
    remedy = f"write {expected}"
    if expected.startswith("text") and isinstance(value, int | float):
        remedy = "put the value in quotes"
    return SpecError(written, value, f"it must be {expected}", remedy=remedy)


def _unknown_field(written: str, key: str, value: object, names: Mapping[str, str]) -> SpecError:
    by_lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(key.lower(), list(by_lower), n=1, cutoff=0.6)
    remedy = f"remove it; known here are {', '.join(sorted(set(names.values())))}"
    if close:
        remedy = f"did you mean {by_lower[close[0]]!r}?"
    return SpecError(written, value, "there is no such field", remedy=remedy)


def _read_text(value: object, written: str) -> str:
    if not isinstance(value, str):
        raise wrong_type(written, value, Kind.TEXT.value)
    if "\0" in value:
        raise SpecError(written, value, "it holds a NUL character", remedy="remove the character")
    return value


def _read_flag(value: object, written: str) -> bool:
    if not isinstance(value, bool):
        raise wrong_type(written, value, Kind.FLAG.value)
    return value


def _read_integer(value: object, written: str) -> int:
    """Accept 3, 3.0 and "3": protobuf's JSON writes 64-bit numbers as text."""
    if isinstance(value, bool):
        raise wrong_type(written, value, Kind.INTEGER.value)
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and _INTEGER_TEXT.fullmatch(value):
        return int(value)
    raise wrong_type(written, value, Kind.INTEGER.value)


def _read_number(value: object, written: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_type(written, value, Kind.NUMBER.value)
    return value


def _read_duration(value: object, written: str) -> str:
    if not isinstance(value, str):
        raise wrong_type(written, value, Kind.DURATION.value)
    try:
        seconds = parse_duration_seconds(value)
    except ValueError:
        raise wrong_type(written, value, Kind.DURATION.value) from None
    if seconds <= 0:
        raise SpecError(
            written, value, "a time-out must be longer than nothing", remedy="remove it for no time-out"
        )
    return value


def _read_texts(value: object, written: str) -> list[str]:
    if not isinstance(value, list):
        raise wrong_type(written, value, Kind.TEXTS.value)
    return [_read_text(inner, join_path(written, index)) for index, inner in enumerate(value)]


def _read_integers(value: object, written: str) -> list[int]:
    if not isinstance(value, list):
        raise wrong_type(written, value, Kind.INTEGERS.value)
    return [_read_integer(inner, join_path(written, index)) for index, inner in enumerate(value)]


def _read_text_map(value: object, written: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise wrong_type(written, value, Kind.TEXT_MAP.value)
    return {key: _read_text(inner, join_path(written, key)) for key, inner in value.items()}


def _read_any(value: object, written: str) -> object:
    return value


_READERS: Mapping[Kind, Callable[[object, str], object]] = {
    Kind.TEXT: _read_text,
    Kind.FLAG: _read_flag,
    Kind.INTEGER: _read_integer,
    Kind.NUMBER: _read_number,
    Kind.DURATION: _read_duration,
    Kind.TEXTS: _read_texts,
    Kind.INTEGERS: _read_integers,
    Kind.TEXT_MAP: _read_text_map,
    Kind.ANY: _read_any,
}


def missing_field(written: str, reason: str, remedy: str) -> SpecError:
    """Return the error for a field that must be there."""
    return SpecError(written, MISSING, reason, remedy=remedy)
