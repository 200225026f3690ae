"""Reads one JSON or YAML text into plain values.

Decides which text is one document and what a duplicate key is; knows nothing
of pipelines.  YAML goes through the safe loader: no tags make objects, dates
stay text, and aliases are bounded by what they expand to.  A text that begins
with a brace or bracket is JSON, any other YAML.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from typing import Any

import yaml

from sidegate.pps.errors import MISSING, SpecError

_EXPANDED_VALUES_LIMIT = 100_000
"""No real spec comes near; a few nested aliases ("billion laughs") pass it at once."""


class _DuplicateKey(Exception):
    """A mapping names one key twice; `where` is a line, if known."""

    def __init__(self, key: object, where: str = "") -> None:
        super().__init__(key)
        self.key = key
        self.where = where


def parse_document(text: str) -> dict[str, Any]:
    """Parse one JSON or YAML document whose top is a mapping.

    The result holds only dict, list, str, int, float, bool and None, and every key is a str.
    Raises SpecError for bad syntax, duplicate keys, several documents and anything else.
    """
    try:
        value = _parse(text)
        _check_values(value)
    except _DuplicateKey as error:
        key = str(error.key)
        raise SpecError(
            key, MISSING, f"the key {key!r} appears twice{error.where}", remedy="keep one of the two"
        ) from None
    except RecursionError:
        raise _bad_document("the document is nested too deeply", "flatten it") from None
    if isinstance(value, list):
        raise _bad_document(
            f"the document is a list of {len(value)} values, not one pipeline spec",
            "put each spec into a file of its own",
        )
    if not isinstance(value, dict):
        found = "empty" if value is None else f"a single value ({value!r})"
        raise _bad_document(
            f"the document is {found}, not a pipeline spec",
            'write a mapping with "pipeline", "transform", "input"',
        )
    return value


def _parse(text: str) -> object:
    text = text.removeprefix("\ufeff")
    if text.lstrip()[:1] not in ("{", "["):
        return _parse_yaml(text)
    # YAML's flow style begins with a brace, too, but reads a value forgotten in JSON as null.
    try:
        return _parse_json(text)
    except json.JSONDecodeError as error:
        raise _bad_document(
            f"not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}",
            "correct the syntax there",
        ) from None


def _parse_json(text: str) -> object:
    decoder = json.JSONDecoder(object_pairs_hook=_unique_pairs, parse_constant=_refuse_constant)
    start = len(text) - len(text.lstrip())
    value, end = decoder.raw_decode(text, start)
    rest = text[end:].lstrip()
    if rest[:1] == "{":
        raise _several_documents()
    if rest:
        raise json.JSONDecodeError("text after the end of the document", text, len(text) - len(rest))
    return value


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise _DuplicateKey(key)
        result[key] = value
    return result


def _refuse_constant(name: str) -> object:
    raise _bad_document(f"{name} is not a JSON value", "write a finite number")


class _Loader(yaml.SafeLoader):
    """The safe loader, with unique keys and without dates."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (PyYAML's own class attribute, replaced rather than shared)
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                continue
            if key_node.value in seen:
                raise _DuplicateKey(key_node.value, f" (line {key_node.start_mark.line + 1})")
            seen.add(key_node.value)
        return super().construct_mapping(node, deep=deep)


def _parse_yaml(text: str) -> object:
    loader = None
    try:
        loader = _Loader(text)
        nodes = [loader.get_node() for _ in range(2) if loader.check_node()]
        if len(nodes) > 1:
            raise _several_documents()
        value: object = loader.construct_document(nodes[0]) if nodes else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise _bad_document(f"not valid YAML: {error.problem}{where}", "correct the syntax there") from None
    except (yaml.YAMLError, ValueError) as error:
        raise _bad_document(f"not valid YAML: {error}", "correct the syntax") from None
    finally:
        if loader is not None:
            loader.dispose()
    return value


def _check_values(value: object) -> None:
    """Refuse keys that are no text, and documents that expand without end."""
    stack = [value]
    visited = 0
    while stack:
        visited += 1
        if visited > _EXPANDED_VALUES_LIMIT:
            raise _bad_document(
                f"the document expands to more than {_EXPANDED_VALUES_LIMIT} values",
                "remove nested YAML aliases",
            )
        item = stack.pop()
        if isinstance(item, list):
            stack.extend(item)
        elif isinstance(item, dict):
            for key, inner in item.items():
                if not isinstance(key, str):
                    raise SpecError(str(key), inner, "a key must be text", remedy="put the key in quotes")
                stack.append(inner)
        elif not isinstance(item, str | int | float | bool | None):
            raise _bad_document(
                f"{item!r} is a {type(item).__name__}, which JSON does not have", "write it as text"
            )


def _several_documents() -> SpecError:
    return _bad_document("the text holds several pipeline specs", "put each spec into a file of its own")


def _bad_document(reason: str, remedy: str) -> SpecError:
    return SpecError("", MISSING, reason, remedy=remedy)
