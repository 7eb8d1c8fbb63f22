# SPDX-License-Identifier: Apache-2.0
"""Whole mobility networks on one machine, judged by what was on the wire.

Always holds: no daemon imports anything from here; only the benchmarks and the command line do.
"""
