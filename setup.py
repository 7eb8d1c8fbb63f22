# SPDX-License-Identifier: Apache-2.0
"""Compiles what each message at an anchor goes through (tools/setup/compiled.txt) with mypyc: the same Python as machine code.

All else about the package is in pyproject.toml. Where there is no C compiler, or no Python.h, these modules stay Python: they
do the same then, and take half as long again.

Always holds: nothing depends on a module's being compiled, and all of them are or none; a compiled module lies beside its
source, `make pure` removes it, and the tests do not run where it is older than its source.
"""

from pathlib import Path

from mypyc.build import mypycify
from setuptools import setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CCompilerError, ExecError, PlatformError

HERE = Path(__file__).parent


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


sources = (HERE / "tools/setup/compiled.txt").read_text().split()
setup(ext_modules=mypycify(sources, opt_level="2", group_name="halma"), cmdclass={"build_ext": AllOrNone})
