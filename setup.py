"""Builds the Cython extensions in ext/; everything else is in pyproject.toml.

SIDEGATE_BUILD_NATIVE=require (default) compiles them and fails without a
compiler; =off builds the pure `py3-none-any` wheel.  There is no "try": a wheel
that silently lacks its native modules is worse than a failed build.
"""

import os
from pathlib import Path

from setuptools import Extension, setup

MODULES = {
    "sidegate.native._gear": "ext/gear.pyx",
    "sidegate.native._aws_chunked": "ext/aws_chunked.pyx",
    "sidegate.native._heads": "ext/heads.pyx",
    "sidegate.native._load": "ext/load.pyx",
    "sidegate.native._index": "ext/index.pyx",
    "sidegate.native._file_heads": "ext/file_heads.pyx",
    "sidegate.native._file_pipe": "ext/file_pipe.pyx",
    "sidegate.native._cursors": "ext/cursors.pyx",
    "sidegate.native._page_scan": "ext/page_scan.pyx",
    "sidegate.native._listing": "ext/listing.pyx",
    "sidegate.native._parts": "ext/parts.pyx",
    "sidegate.native._sha256": "ext/sha256.pyx",
}


def native_modules() -> list[Extension]:
    mode = os.environ.get("SIDEGATE_BUILD_NATIVE", "require")
    if mode == "off":
        return []
    if mode != "require":
        raise SystemExit(f"SIDEGATE_BUILD_NATIVE={mode!r}: use 'require' or 'off'")
    from Cython.Build import cythonize

    headers = sorted(str(path) for path in Path("ext").glob("*.h"))
    extensions = [
        Extension(name, [source], include_dirs=["ext"], depends=headers, extra_compile_args=["-O3"])
        for name, source in MODULES.items()
    ]
    return cythonize(extensions, build_dir="build/cython", include_path=["ext", "src"], language_level=3)


setup(ext_modules=native_modules())
