"""What instruction counts depend on besides our code."""

from __future__ import annotations

import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path

# Which variant of memcpy, a checksum or a hash runs is chosen by these.
_DISPATCHED_BY = ("sse4_2", "avx2", "bmi2", "erms", "fsrm", "asimd", "sve")


def describe_environment() -> dict[str, str]:
    """Return what two runs must have in common for their instruction counts to compare."""
    return {
        "python": f"{platform.python_version()} by {platform.python_compiler()}",
        "machine": platform.machine(),
        "processor": _processor(Path("/proc/cpuinfo").read_text()),
        "libc": " ".join(platform.libc_ver()),
        "compiler": _first_line("cc", "--version"),
        "valgrind": _first_line("valgrind", "--version"),
        **_packages(),
    }


def kind_of_processor(environment: dict[str, str]) -> str:
    """Return what ratios are stored by: another maker's caches and clock change them."""
    return environment.get("processor", "unknown")


def differences(stored: dict[str, str], found: dict[str, str]) -> list[str]:
    """Return what is not the same, as text."""
    return [
        f"{name} {stored.get(name, 'unknown')} there, {found.get(name, 'unknown')} here"
        for name in sorted(stored.keys() | found.keys())
        if stored.get(name) != found.get(name)
    ]


def _processor(cpuinfo: str) -> str:
    """Return maker and the instruction sets that matter, of the first processor listed."""
    values = {
        name.strip(): value.strip()
        for name, _, value in (line.partition(":") for line in cpuinfo.split("\n\n")[0].splitlines())
    }
    flags = (values.get("flags") or values.get("Features") or "").split()
    return " ".join([values.get("vendor_id", "unknown"), *(flag for flag in _DISPATCHED_BY if flag in flags)])


def _packages() -> dict[str, str]:
    """Return the version of each package that a server imports."""
    wanted = [text for text in metadata.requires("sidegate") or () if "extra ==" not in text]
    names = sorted(match[0].lower() for text in wanted if (match := re.match(r"[\w.-]+", text)))
    return {name: _version(name) for name in names}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "not installed"
    return (done.stdout.splitlines() or ["unknown"])[0]
