"""Checks that each wheel holds what its name promises.

A wheel with a platform tag and no compiled module installs without complaint
and is several hundred times slower, so somebody has to look.

    python3 scripts/inspect_wheels.py DIRECTORY
"""

from __future__ import annotations

import sys
import zipfile
from fnmatch import fnmatch
from pathlib import Path

# Each of these stubs promises a compiled module.
STUBS = "sidegate/native/_*.pyi"
ALWAYS = ("sidegate/py.typed", "sidegate/native/_gear.pyi", "sidegate/native/pure/gear.py")
MIGRATIONS = "sidegate/pfs/catalog/migrations/"


def complaints(wheel: Path) -> list[str]:
    """Return what is wrong with a wheel."""
    names = zipfile.ZipFile(wheel).namelist()
    binaries = [name for name in names if name.endswith((".so", ".pyd"))]
    wrong = [f"{name} is missing" for name in ALWAYS if name not in names]
    wrong += [
        f"{name} is a source of the build" for name in names if name.endswith((".pyx", ".pxd", ".c", ".h"))
    ]
    if not any(name.endswith("licenses/LICENSE") for name in names):
        wrong.append("the license is missing")
    if not any(name.startswith(f"{MIGRATIONS}versions/v0001") for name in names):
        wrong.append("the migrations are missing")
    if wheel.stem.endswith("py3-none-any"):
        wrong += [f"{name} is compiled" for name in binaries]
    else:
        modules = [name.removesuffix("pyi") for name in names if fnmatch(name, STUBS)]
        found = {name.partition(".")[0] + "." for name in binaries}
        wrong += [f"{module}* is missing" for module in modules if module not in found]
    return wrong


def main(directory: Path) -> int:
    """Print one line per wheel; 1 if anything is wrong or there is none."""
    wheels = sorted(directory.glob("*.whl"))
    failed = not wheels
    for wheel in wheels:
        wrong = complaints(wheel)
        failed |= bool(wrong)
        print(f"{wheel.name}: {'; '.join(wrong) or 'as promised'}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
