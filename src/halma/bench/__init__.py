# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: each measures Halma against a reference in the same run.

Always holds: only the command line imports anything from here.
"""
