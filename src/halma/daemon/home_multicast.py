# SPDX-License-Identifier: Apache-2.0
"""Carries out what a home agent wants about multicast groups: questions into tunnels, copies in the data plane, and membership
on the multicast interface. RFC 6275 sections 10.4.2 and 10.4.3.

Always holds: what the kernel refuses is told, and the node goes without the group; at the end no group is held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from halma.daemon.courier import Courier
from halma.engine.api import Report, Severity
from halma.engine.multicast_api import JoinGroup, LeaveGroup, SendListenerQuery, Subscribe, Unsubscribe
from halma.forwarding.plane import Plane
from halma.netio.group_membership import GroupMembership


class HomeMulticastService:
    """See the module; `interface` is the index of the multicast interface."""

    def __init__(self, interface: int, plane: Plane, courier: Courier, report: Callable[[Report], None]) -> None:
        self._membership = GroupMembership(interface)
        self._plane = plane
        self._courier = courier
        self._report = report

    def close(self) -> None:
        """Leave all groups."""
        self._membership.close()

    def handlers(self) -> dict[type, Callable[[Any], Iterable[Any]]]:
        """Who carries out which effect."""
        return {
            SendListenerQuery: self._ask,
            Subscribe: self._subscribe,
            Unsubscribe: self._unsubscribe,
            JoinGroup: self._join,
            LeaveGroup: self._leave,
        }

    def _ask(self, effect: SendListenerQuery) -> list[Any]:
        self._courier.send_listener_query(effect)
        return []

    def _subscribe(self, effect: Subscribe) -> list[Any]:
        try:
            self._plane.subscribe(effect.group, effect.home_address)
        except OSError as error:
            text = "the data plane brings no packets of group {:address} to {:address}: {}"
            self._tell(text, effect.group, effect.home_address, error.strerror)
        return []

    def _unsubscribe(self, effect: Unsubscribe) -> list[Any]:
        self._plane.unsubscribe(effect.group, effect.home_address)
        return []

    def _join(self, effect: JoinGroup) -> list[Any]:
        try:
            self._membership.join(effect.group)
        except OSError as error:
            self._tell("cannot listen to group {:address}: {}", effect.group, error.strerror)
        return []

    def _leave(self, effect: LeaveGroup) -> list[Any]:
        self._membership.leave(effect.group)
        return []

    def _tell(self, text: str, group: bytes, *details: object) -> None:
        self._report(Report(Severity.WARNING, "multicast", text, group, (group, *details)))
