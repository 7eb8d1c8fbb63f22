# SPDX-License-Identifier: Apache-2.0
"""Compiles what each message at an anchor goes through (tools/setup/compiled.txt) with mypyc: the same Python as machine code.

All else about the package is in pyproject.toml. Where there is no C compiler, or no Python.h, these modules stay Python: they
do the same then, and take half as long again.

Always holds: nothing depends on a module's being compiled; a compiled module lies beside its source, `make pure` removes it,
and the tests do not run where it is older than its source.
"""

from pathlib import Path

from mypyc.build import mypycify
from setuptools import setup

sources = Path(__file__).with_name("tools").joinpath("setup", "compiled.txt").read_text().split()
extensions = mypycify(sources, opt_level="2", group_name="halma")
for extension in extensions:
    extension.optional = True

setup(ext_modules=extensions)
