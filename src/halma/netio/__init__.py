# SPDX-License-Identifier: Apache-2.0
"""Sockets and netlink: how messages, frames and link events come in and go out."""
