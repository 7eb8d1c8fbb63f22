# SPDX-License-Identifier: Apache-2.0
"""The control socket: what a running daemon is asked and what it answers, in JSON lines on a unix socket.

Always holds: whatever a command wants of a daemon goes over this socket, and may be asked by any other program.
"""
