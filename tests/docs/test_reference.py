"""The reference documents say what the code says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sidegate.pps import offering, rules
from sidegate.s3.operations import Operation
from sidegate.s3.subresources import ABSENT, ACCEPTED, DOCUMENTS

ROOT = Path(__file__).resolve().parent.parent.parent
SPEC = (ROOT / "docs/spec.md").read_text(encoding="utf-8")
S3 = (ROOT / "docs/s3.md").read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    _, found, rest = text.partition(f"\n## {heading}\n")
    assert found, heading
    return rest.partition("\n## ")[0]


def codes(text: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", text))


def row_with(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if re.search(rf"\b{name}\b", line))


def test_every_field_that_is_not_run_is_named_with_its_remedy() -> None:
    refused = section(SPEC, "What is refused")
    rows = {f"| `{field}` | {remedy} |" for field, remedy in offering.NOT_RUN.items()}
    assert rows - set(refused.splitlines()) == set()


def test_every_field_that_is_kept_is_named() -> None:
    assert set(offering.KEPT) - codes(section(SPEC, "What is kept without effect")) == set()


def test_nothing_else_is_said_to_be_kept() -> None:
    assert codes(section(SPEC, "What is kept without effect")) == set(offering.KEPT)


def test_output_policies_are_named() -> None:
    assert set(rules.OUT_POLICIES) <= codes(section(SPEC, "What runs"))


@pytest.mark.parametrize("operation", list(Operation), ids=lambda operation: operation.name)
def test_every_operation_has_a_row(operation: Operation) -> None:
    name = operation.value.rstrip("*")
    assert re.search(rf"\b{name}", section(S3, "Operations"))


@pytest.mark.parametrize(
    ("answers", "words"), [(DOCUMENTS, "empty|full control"), (ABSENT, "404"), (ACCEPTED, "accepted")]
)
def test_answers_to_small_questions_are_what_the_table_says(
    answers: dict[Operation, object], words: str
) -> None:
    table = section(S3, "Operations").partition("Questions about")[2]
    for operation in answers:
        assert re.search(words, row_with(table, operation.value)), operation.value


def test_the_command_line_is_documented_as_it_is() -> None:
    script = ROOT / "scripts/write_cli_reference.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
