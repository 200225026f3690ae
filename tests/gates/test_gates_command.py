"""The command: check and accept, over made-up measurements."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gates import __main__ as command
from gates import counting, stored
from gates.cells import CELLS
from gates.comparison import Figures
from gates.process import NotMeasured


class Costs:
    """What the made-up measurements find; `calls` and `instructions` are of every cell."""

    def __init__(self) -> None:
        self.instructions = 1000.0
        self.calls = {"read": 1.0}
        self.ratios: list[float] = []
        self.measured: list[str] = []

    def ratio(self) -> float:
        """Return the next of `ratios`, or what it always is."""
        return self.ratios.pop(0) if self.ratios else 0.5


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Costs]:
    costs = Costs()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "make_stores", lambda directory: None)
    monkeypatch.setattr(command, "describe_environment", lambda: {"python": "3.11.7"})

    def instructions(stores: object, cells, directory: Path) -> dict[str, float]:
        costs.measured.append("instructions")
        return {cell.name: costs.instructions for cell in cells}

    monkeypatch.setattr(counting, "count_instructions", instructions)
    monkeypatch.setattr(
        counting, "count_calls", lambda stores, cells, d: {c.name: costs.calls for c in cells}
    )
    monkeypatch.setattr(command, "measure_ratios", lambda stores, cells: {cells[0].name: costs.ratio()})
    return costs


def accepted(folder: Path, reason: str = "the first") -> None:
    assert command.main(["accept", "--reason", reason], folder) == 0


def test_what_is_accepted_holds(costs: Costs, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    accepted(tmp_path)
    capsys.readouterr()
    assert command.main(["check"], tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"gates: {3 * len(CELLS) + 1} held, 0 failed, 0 not compared"


def test_what_costs_more_fails_when_looked_at_again(
    costs: Costs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    accepted(tmp_path)
    costs.instructions = 1100.0
    costs.measured.clear()
    capsys.readouterr()
    assert command.main(["check"], tmp_path) == 1
    assert costs.measured == ["instructions"] * command.ATTEMPTS
    out = capsys.readouterr().out
    assert f"{len(CELLS)} failed" in out
    assert f"build/gates/instructions/{counting.profile_name(CELLS, 'GET 4 KiB')}" in out


def test_another_environment_is_said_and_counted(
    costs: Costs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    accepted(tmp_path)
    monkeypatch.setattr(command, "describe_environment", lambda: {"python": "3.13.0"})
    costs.instructions, costs.calls = 5000.0, {"read": 1.0, "openat": 10.0}
    assert command.main(["check"], tmp_path) == 1  # by its system calls
    out = capsys.readouterr().out
    assert "other environment: python 3.11.7 there, 3.13.0 here" in out
    assert f"{len(CELLS)} failed, {len(CELLS)} not compared" in out


def test_another_commit_measured_here_is_compared_with(
    costs: Costs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path / "base"
    (base / "stored").mkdir(parents=True)
    (base / "measured").mkdir()
    accepted(base / "stored")
    costs.instructions = 800.0
    accepted(tmp_path, "a fifth less")
    monkeypatch.setattr(command, "describe_environment", lambda: {"python": "3.13.0"})
    assert command.main(["same-environment"], tmp_path) == 1
    costs.instructions = 2000.0
    accepted(base / "measured")
    costs.instructions = 1600.0
    assert command.main(["check", "--base", str(base)], tmp_path) == 0
    assert capsys.readouterr().out.endswith("0 failed, 0 not compared\n")
    costs.instructions = 2000.0
    assert command.main(["check", "--base", str(base)], tmp_path) == 1
    assert "was 1 600, is 2 000 a round: +25.0%" in capsys.readouterr().out.replace("1600", "1 600")


def test_a_ratio_that_a_busy_moment_spoilt_holds_the_third_time(costs: Costs, tmp_path: Path) -> None:
    accepted(tmp_path)
    costs.ratios = [0.2, 0.3, 0.45]
    assert command.main(["check"], tmp_path) == 0
    assert costs.ratios == []
    costs.ratios = [0.2, 0.3, 0.34, 0.5]
    assert command.main(["check"], tmp_path) == 1
    assert costs.ratios == [0.5]


def test_the_ratio_that_is_accepted_is_the_middle_one_of_three(costs: Costs, tmp_path: Path) -> None:
    costs.ratios = [0.9, 0.2, 0.6]
    accepted(tmp_path)
    assert stored.load(tmp_path).figures(CELLS[0].name).ratios == {"unknown": 0.6}


def test_ratios_are_stored_by_processor_and_only_compared_with_its_own(
    costs: Costs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    amd, intel = {"python": "3.11.7", "processor": "AMD"}, {"python": "3.11.7", "processor": "Intel"}
    only_ratios = ["--only", "ratio", "--cell", CELLS[0].name]
    monkeypatch.setattr(command, "describe_environment", lambda: amd)
    accepted(tmp_path)
    monkeypatch.setattr(command, "describe_environment", lambda: intel)
    costs.ratios = [0.3] * command.RATIO_RUNS
    assert command.main(["accept", "--reason", "an Intel", *only_ratios], tmp_path) == 0
    known = stored.load(tmp_path)
    assert known.environment == amd  # instructions were not measured anew
    assert known.figures(CELLS[0].name).ratios == {"AMD": 0.5, "Intel": 0.3}
    for environment, outcome in ((intel, 0), (amd, 1)):
        monkeypatch.setattr(command, "describe_environment", lambda found=environment: found)
        costs.ratios = [0.25] * command.ATTEMPTS
        assert command.main(["check", *only_ratios], tmp_path) == outcome
    assert "was 50.0%, is 25.0%" in capsys.readouterr().out


def test_some_instructions_of_another_environment_are_not_accepted(
    costs: Costs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    accepted(tmp_path)
    monkeypatch.setattr(command, "describe_environment", lambda: {"python": "3.13.0"})
    assert command.main(["accept", "--reason", "one", "--cell", "GET 4 KiB"], tmp_path) == 1
    assert "accept all cells, not some, or with --only ratio" in capsys.readouterr().err


def test_a_tool_that_is_missing_is_said_and_counted(
    costs: Costs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    accepted(tmp_path)

    def fail(*arguments: object) -> dict[str, float]:
        raise NotMeasured("valgrind is not installed")

    monkeypatch.setattr(counting, "count_instructions", fail)
    assert command.main(["check"], tmp_path) == 0
    out = capsys.readouterr().out
    assert "valgrind is not installed" in out
    assert out.splitlines()[-1].endswith("0 failed, 1 not compared")
    before = (tmp_path / stored.FIGURES).read_text()
    assert command.main(["accept", "--reason", "partly"], tmp_path) == 1
    assert (tmp_path / stored.FIGURES).read_text() == before


def test_accepting_takes_a_reason(costs: Costs, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["accept", "--reason", " "], tmp_path)
    assert 'make bench-accept REASON="' in capsys.readouterr().err
    assert costs.measured == []


def test_reasons_are_kept_with_what_changed(costs: Costs, tmp_path: Path) -> None:
    accepted(tmp_path)
    costs.instructions = 500.0
    accepted(tmp_path, "half the parsing")
    text = (tmp_path / stored.REASONS).read_text()
    assert "the first\n" in text
    assert "half the parsing\n" in text
    assert "  - GET 4 KiB: instructions 1000 -> 500\n" in text


def test_some_cells_may_be_accepted_alone(costs: Costs, tmp_path: Path) -> None:
    accepted(tmp_path)
    costs.instructions = 500.0
    assert (
        command.main(["accept", "--reason", "one", "--cell", "GET 4 KiB", "--only", "instructions"], tmp_path)
        == 0
    )
    known = stored.load(tmp_path)
    assert known.figures("GET 4 KiB") == Figures(500.0, {"read": 1.0})
    assert known.figures("HEAD 4 KiB").instructions == 1000.0


def test_the_figures_are_json_a_line_each(costs: Costs, tmp_path: Path) -> None:
    accepted(tmp_path)
    text = (tmp_path / stored.FIGURES).read_text()
    assert set(json.loads(text)["cells"]) == {cell.name for cell in CELLS}
    assert '\n      "instructions": 1000,\n' in text
    assert '\n      "calls": {"read": 1.0}' in text
    assert stored.render(stored.load(tmp_path)) == text


def test_stored_figures_know_every_cell() -> None:
    assert set(stored.load().cells) == {cell.name for cell in CELLS}
