# SPDX-License-Identifier: Apache-2.0
"""Whole mobility networks on one machine, judged by what was on the wire. A leaf: only the command line imports it."""
