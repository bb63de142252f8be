"""Build of the compiled floors: every `edged/_fast/**/*.pyx` becomes one extension module.

Environment:
  EDGED_CHECKED=1     bounds checks and assertions on (the build that the tests run first)
  EDGED_SANITIZE=...  passed to -fsanitize= (address, undefined); implies EDGED_CHECKED
  EDGED_ROOMS="parse.head route.table"   only these modules
  EDGED_DOORS=1       also tests/doors: the doors through which tests reach what exists only in C
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

SANITIZE = os.environ.get("EDGED_SANITIZE", "")
CHECKED = bool(os.environ.get("EDGED_CHECKED") or SANITIZE)
ROOMS = os.environ.get("EDGED_ROOMS", "").split()

DIRECTIVES = {
    "language_level": "3",
    "binding": True,
    "boundscheck": CHECKED,
    "wraparound": False,
    "initializedcheck": CHECKED,
    "nonecheck": CHECKED,
    "cdivision": True,
    "overflowcheck": False,
    "embedsignature": True,
}


def compile_args() -> list[str]:
    args = ["-std=gnu11", "-fno-strict-aliasing", "-Wall", "-Wno-unused-function", "-Wno-unused-variable"]
    if not CHECKED:
        return [*args, "-O3", "-fno-plt", "-DCYTHON_WITHOUT_ASSERTIONS=1"]
    args += ["-O1", "-g", "-DEDGED_CHECKED=1"]
    if SANITIZE:
        args += [f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer"]
    return args


def extensions() -> list[Extension]:
    sources = sorted(Path("edged/_fast").glob("**/*.pyx"))
    if os.environ.get("EDGED_DOORS"):
        sources += sorted(Path("tests").glob("doors/*.pyx"))
    names = {".".join(path.with_suffix("").parts): path for path in sources}
    if ROOMS:
        names = {name: path for name, path in names.items() if name.removeprefix("edged._fast.") in ROOMS}
    link = [f"-fsanitize={SANITIZE}"] if SANITIZE else []
    return [
        Extension(name, [str(path)], extra_compile_args=compile_args(), extra_link_args=link)
        for name, path in names.items()
    ]


setup(
    ext_modules=cythonize(
        extensions(),
        compiler_directives=DIRECTIVES,
        build_dir="build/cython" + ("-checked" if CHECKED else ""),
        nthreads=0 if os.environ.get("EDGED_ROOMS") else (os.cpu_count() or 1),
        quiet=True,
    ),
)
