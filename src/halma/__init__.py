# SPDX-License-Identifier: Apache-2.0
"""Halma: a mobility suite for IPv6. docs/architecture.md shows the rooms.

Always holds: imports point down only.
"""
