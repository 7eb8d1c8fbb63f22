# SPDX-License-Identifier: Apache-2.0
"""The control socket: what a running daemon is asked and what it answers, in JSON lines on a unix socket."""
