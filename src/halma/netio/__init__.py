# SPDX-License-Identifier: Apache-2.0
"""Sockets and netlink: how messages, frames and link events come in and go out.

Always holds: nothing here decides anything about mobility; what is heard is told as the events of an engine, or as octets.
"""
