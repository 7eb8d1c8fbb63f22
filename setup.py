# SPDX-License-Identifier: Apache-2.0
"""Compiles what each message at an anchor goes through (tools/setup/compiled.txt) with mypyc: the same Python as machine code.

All else about the package is in pyproject.toml. Where there is no C compiler, or no Python.h, these modules stay Python: they
do the same then, and take more than twice as long.

Always holds: nothing depends on a module's being compiled, and all of them are or none; a compiled module lies beside its
source, `make pure` removes it, and the tests do not run where it is older than its source.
"""

import contextlib
import shutil
import sys
from pathlib import Path

from mypyc.build import mypycify
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CCompilerError, ExecError, PlatformError

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from tools.setup.native import write_native  # noqa: E402 (a build does not find the tools by itself)


class AllOrNone(build_ext):
    """Build the compiled modules, or go without them: some of them alone could not be imported."""

    def run(self) -> None:
        """Build them."""
        for module in (HERE / "src").rglob("*.so"):
            module.unlink()
        try:
            super().run()
        except (CCompilerError, ExecError, PlatformError) as error:
            self.warn(f"nothing is compiled: {error}")
            self.extensions = []


def extensions() -> list[Extension]:
    """The modules as mypyc has translated them."""
    native = Path("build/native")
    sources = (HERE / "tools/setup/compiled.txt").read_text().split()
    write_native(HERE / "src", native / "src", [Path(source).relative_to("src") for source in sources])
    shutil.copy(HERE / "pyproject.toml", native)
    with contextlib.chdir(native):  # tracebacks then name the sources by their usual paths
        made: list[Extension] = mypycify(sources, opt_level="2", group_name="halma")
    for extension in made:
        for paths in (extension.sources, extension.depends, extension.include_dirs):
            paths[:] = [str(native / path) for path in paths]
    return made


setup(ext_modules=extensions(), cmdclass={"build_ext": AllOrNone})
