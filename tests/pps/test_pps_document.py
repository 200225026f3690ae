"""JSON and YAML texts as plain values, and what is no document."""

from __future__ import annotations

import pytest

from sidegate.pps.document import parse_document
from sidegate.pps.errors import SpecError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1, "b": [true, null, "x"]}', {"a": 1, "b": [True, None, "x"]}),
        ('\ufeff  {"a": 1}\n\n', {"a": 1}),
        ("a: 1\nb:\n- x\n- y\n", {"a": 1, "b": ["x", "y"]}),
        ("---\na: 2024-01-31\n", {"a": "2024-01-31"}),
        ("---\n{a: 1, b: [2,],}", {"a": 1, "b": [2]}),
        ("base: &b {x: 1}\nuse: *b\n", {"base": {"x": 1}, "use": {"x": 1}}),
        ("a: &b {x: 1}\nc:\n  <<: *b\n  y: 2\n", {"a": {"x": 1}, "c": {"x": 1, "y": 2}}),
    ],
)
def test_one_document_is_read(text: str, expected: object) -> None:
    assert parse_document(text) == expected


LAUGHS = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
)


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        ('{"a": 1, "a": 2}', "a", "twice"),
        ('{"x": {"b": 1, "b": 2}}', "b", "twice"),
        ("x:\n  b: 1\n  b: 2\n", "b", "twice (line 3)"),
        ('[{"pipeline": {}}, {}]', "", "list of 2"),
        ("- a: 1\n- b: 2\n", "", "list of 2"),
        ('{"a": 1}\n{"b": 2}', "", "several pipeline specs"),
        ("a: 1\n---\nb: 2\n", "", "several pipeline specs"),
        ("", "", "empty"),
        ("# nothing\n", "", "empty"),
        ("just text", "", "single value"),
        ('{"a": }', "", "line 1, column 7"),
        ("{a: 1}", "", "line 1, column 2"),
        ('{"a": 1} trailing', "", "after the end"),
        ("a: [1, 2\nb: 3\n", "", "not valid YAML"),
        ("a: !!python/object/apply:os.system [true]\n", "", "not valid YAML"),
        ("1: x\n", "1", "a key must be text"),
        ("on: x\n", "True", "a key must be text"),
        ('{"a": NaN}', "", "NaN is not a JSON value"),
        ("a: !!binary aGk=\n", "", "which JSON does not have"),
        ("[" * 100_000, "", "nested too deeply"),
        (LAUGHS, "", "expands to more than"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_is_not_one_document_is_refused(text: str, field: str, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_document(text)
    assert caught.value.field == field
    assert words in caught.value.message
    assert caught.value.remedy
