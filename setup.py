"""Build of the compiled floors: every `edged/_fast/**/*.pyx` becomes one extension module.

Environment:
  EDGED_CHECKED=1     bounds checks and assertions on (the build that the tests run first)
  EDGED_SANITIZE=...  passed to -fsanitize= (address, undefined); implies EDGED_CHECKED
  EDGED_ROOMS="parse.head route.table"   only these modules; "none": none at all
  EDGED_DOORS=1       also tests/doors: the doors through which tests reach what exists only in C
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, find_packages, setup

SANITIZE = os.environ.get("EDGED_SANITIZE", "")
CHECKED = bool(os.environ.get("EDGED_CHECKED") or SANITIZE)
DOORS = bool(os.environ.get("EDGED_DOORS"))
ROOMS = os.environ.get("EDGED_ROOMS", "").split()

DIRECTIVES = {
    "language_level": "3",
    "binding": True,
    "boundscheck": CHECKED,
    "wraparound": False,
    "initializedcheck": CHECKED,
    "cdivision": True,
    "overflowcheck": False,
    "embedsignature": True,
}


def compile_args() -> list[str]:
    args = ["-std=gnu11", "-fno-strict-aliasing", "-Wall", "-Wno-unused-function", "-Wno-unused-variable", "-Wno-unused-but-set-variable"]
    if not CHECKED:
        return [*args, "-O3", "-fno-plt", "-DCYTHON_WITHOUT_ASSERTIONS=1"]
    args += ["-O1", "-g", "-DEDGED_CHECKED=1"]
    if SANITIZE:
        args += [f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer"]
    return args


def extensions() -> list[Extension]:
    sources = sorted(Path("edged/_fast").glob("**/*.pyx"))
    if DOORS:
        sources += sorted(Path("tests").glob("doors/*.pyx"))
    names = {".".join(path.with_suffix("").parts): path for path in sources}
    if ROOMS:
        names = {name: path for name, path in names.items() if name.removeprefix("edged._fast.") in ROOMS}
    link = [f"-fsanitize={SANITIZE}"] if SANITIZE else []
    return [
        Extension(name, [str(path)], extra_compile_args=compile_args(), extra_link_args=link)
        for name, path in names.items()
    ]


def packages() -> list[str]:
    """Every package below edged/ and plugins/; the doors only where they are built, so that they are never shipped."""
    found = find_packages(include=["edged", "edged.*"])
    found += ["edged_plugins", *(f"edged_plugins.{name}" for name in find_packages("plugins"))]
    if DOORS and Path("tests/doors/__init__.py").exists():
        found.append("tests.doors")
    return found


def scratch() -> str:
    """Where the C of this kind of build lies: kinds never share a file, so that each can be rebuilt by what changed alone."""
    if SANITIZE:
        return f"build/cython-{SANITIZE.replace(',', '-')}"
    return "build/cython-checked" if CHECKED else "build/cython"


if __name__ == "__main__":      # the compilers of other cores import this file again
    setup(
        packages=packages(),
        options={"build_ext": {"parallel": os.cpu_count() or 1}},
        ext_modules=cythonize(
            extensions(),
            compiler_directives=DIRECTIVES,
            build_dir=scratch(),
            nthreads=0 if ROOMS else (os.cpu_count() or 1),
            quiet=True,
        ),
    )
