# SPDX-License-Identifier: Apache-2.0
"""The command line: clients of the control socket, and the ways to start daemons, labs and benchmarks."""
