"""The selector: three modes, one permitted reason to fall back."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from importlib import import_module
from typing import Any

import pytest

from sidegate.errors import Invalid
from sidegate.native import MODULES, describe, select

GEAR, AWS_CHUNKED = "sidegate.native._gear", "sidegate.native._aws_chunked"
INSTALLED = "compiled"


def loader(failures: dict[str, Exception]) -> Any:
    """Loads twins for real and compiled modules in name only, or fails as told."""

    def load(name: str) -> Any:
        if name in failures:
            raise failures[name]
        return INSTALLED if name.startswith("sidegate.native._") else import_module(name)

    return load


def absent(name: str) -> ModuleNotFoundError:
    return ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.mark.parametrize(
    ("mode", "failures", "implementation", "reason"),
    [
        ("auto", {}, "native", "installed"),
        ("require", {}, "native", "installed"),
        ("off", {}, "pure", "SIDEGATE_NATIVE=off"),
        ("off", {GEAR: ImportError("never tried")}, "pure", "slower"),
        ("auto", {GEAR: absent(GEAR)}, "pure", GEAR),
        ("auto", {AWS_CHUNKED: absent(AWS_CHUNKED)}, "pure", f"{AWS_CHUNKED} is not installed"),
    ],
)
def test_modes_choose(mode: str, failures: dict[str, Exception], implementation: str, reason: str) -> None:
    selection, modules = select(mode, loader(failures))
    assert (selection.mode, selection.implementation) == (mode, implementation)
    assert reason in selection.reason
    loaded = {name: getattr(module, "__name__", module) for name, module in modules.items()}
    twins = {name: f"sidegate.native.pure.{name}" for name in MODULES}
    assert loaded == (twins if implementation == "pure" else dict.fromkeys(MODULES, INSTALLED))


@pytest.mark.parametrize(
    ("mode", "failure"),
    [
        ("require", absent(GEAR)),
        ("auto", absent("blake3")),
        ("auto", absent("sidegate.native")),
        ("auto", ImportError("undefined symbol", name=GEAR)),
        ("auto", OSError("cannot be read")),
    ],
    ids=str,
)
def test_other_failures_propagate(mode: str, failure: Exception) -> None:
    with pytest.raises(type(failure)) as caught:
        select(mode, loader({GEAR: failure}))
    assert caught.value is failure


@pytest.mark.parametrize("mode", ["", "on", "AUTO", "1", "required"])
def test_unknown_modes_are_refused(mode: str) -> None:
    with pytest.raises(Invalid, match="SIDEGATE_NATIVE") as caught:
        select(mode)
    assert caught.value.remedy == "use one of auto, require, off"


def test_this_process_keeps_its_label() -> None:
    """A job that demands one implementation must not test the other."""
    mode = os.environ.get("SIDEGATE_NATIVE", "auto")
    expected = {"require": ["native"], "off": ["pure"], "auto": ["native", "pure"]}[mode]
    assert describe().mode == mode
    assert describe().implementation in expected


def run(mode: str | None, code: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "SIDEGATE_NATIVE"}
    if mode is not None:
        environment["SIDEGATE_NATIVE"] = mode
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )


def test_the_variable_is_read_at_import() -> None:
    code = "import sidegate.native as n; print(n.describe().mode, n.GearScanner.__module__)"
    assert run("off", code).stdout.split() == ["off", "sidegate.native.pure.gear"]
    assert run(None, code).stdout.split()[0] == "auto"
    unknown = run("maybe", code)
    assert unknown.returncode != 0
    assert "sidegate.errors.Invalid: SIDEGATE_NATIVE='maybe' is not a mode" in unknown.stderr


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="needs a free-threaded Python")
def test_compiled_modules_leave_the_gil_off() -> None:
    code = "import sys, sidegate.native; print(sys._is_gil_enabled())"
    assert run("require", code).stdout.strip() == "False"
