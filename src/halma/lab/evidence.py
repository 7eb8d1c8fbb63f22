# SPDX-License-Identifier: Apache-2.0
"""What a run left behind, in a form that questions can be asked of: the captures of every link above all.

Besides the captures there are the kernel's own events in the hosts, what the traffic's two ends counted, and the journal of
what the lab did. The daemons' logs are not evidence.

Always holds: sightings are in the order of time; a packet that was heard at several points is one packet with several
sightings; times are seconds since 1970 by the one clock of the machine.
"""

from __future__ import annotations

import bisect
import json
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

from halma.lab.packets import ICMPV6, MOBILITY, Layer, Sighting, dissect
from halma.lab.recording import read
from halma.lab.topology import Kind, Topology, Zone
from halma.value import value
from halma.wire import DecodeError, Message, decode
from halma.wire.icmpv6 import Icmpv6Message, decode_icmpv6
from halma.wire.mld import MulticastListenerMessage
from halma.wire.options import HomeNetworkPrefix, MobileNodeIdentifier, MobileNodeLinkLayerIdentifier

_REPETITION = 5.0
"""Seconds within which two sightings of the same bytes at different points are the same packet."""


@value
class Signal:
    """A Mobility Header message on its way through the network. `source` and `destination` are node names, or addresses where
    no node has declared them; `message` is None when it does not decode."""

    sightings: tuple[Sighting, ...]
    source: str
    destination: str
    message: Message | None

    @property
    def sent(self) -> float:
        """When it was seen first."""
        return self.sightings[0].time

    @property
    def arrived(self) -> float:
        """When it was seen last."""
        return self.sightings[-1].time

    @property
    def layer(self) -> Layer:
        """The header that its two ends see."""
        return self.sightings[0].inner

    @property
    def node_identifier(self) -> bytes:
        """The MN-ID in it, or nothing."""
        for option in getattr(self.message, "options", ()):
            if isinstance(option, MobileNodeIdentifier):
                return option.identifier
        return b""

    @property
    def link_layer_identifier(self) -> bytes:
        """The link-layer identifier of the node in it, or nothing."""
        for option in getattr(self.message, "options", ()):
            if isinstance(option, MobileNodeLinkLayerIdentifier):
                return option.identifier
        return b""

    @property
    def prefixes(self) -> tuple[bytes, ...]:
        """The home network prefixes in it."""
        options = getattr(self.message, "options", ())
        return tuple(option.prefix for option in options if isinstance(option, HomeNetworkPrefix))


@value
class Delivery:
    """What became of one probe: where it was seen, in order, and whether its destination's link saw it."""

    number: int
    sightings: tuple[Sighting, ...]
    delivered: Sighting | None


class Evidence:
    """The records of a run. Raises OSError when they are not there."""

    def __init__(self, topology: Topology, records: Path) -> None:
        self.topology = topology
        self.records = records
        self.journal: dict[str, Any] = json.loads((records / "journal.json").read_text())
        self.missed: dict[str, int | None] = {}
        self.captured: dict[str, int] = {}
        sightings: list[Sighting] = []
        for path in sorted((records / "captures").glob("*.pcapng")):
            recording = read(path)
            self.missed[path.stem] = recording.missed
            self.captured[path.stem] = len(recording.frames)
            sightings += filter(None, (dissect(frame, path.stem) for frame in recording.frames))
        sightings.sort(key=lambda sighting: sighting.time)
        self.sightings = tuple(sightings)
        self.events: list[dict[str, Any]] = []
        if (records / "events.jsonl").exists():
            self.events = [json.loads(line) for line in (records / "events.jsonl").read_text().splitlines()]
        self._results = {path.stem: json.loads(path.read_text()) for path in (records / "traffic").glob("*.json")}
        # Care-of addresses are those that a node's kernel had besides.
        self.owners = {
            **{IPv6Address(event["address"]).packed: event["node"] for event in self.events if event["event"] == "address"},
            **topology.owners(),
            **{IPv6Address(address).packed: node for node, address in self.journal["addresses"].items()},
        }

    def owner(self, address: bytes) -> str:
        """The node that has an address, or the address as text."""
        return self.owners.get(address) or str(IPv6Address(address))

    @cached_property
    def zones(self) -> dict[str, Zone]:
        """What may travel at each listening point."""
        zones = {access.name: Zone.ACCESS for access in self.topology.access}
        for link in self.topology.links:
            for point in (link.name, *(f"{link.name}@{end.node}" for end in link.ends)):
                zones[point] = link.zone
        return zones

    def at(self, point: str) -> list[Sighting]:
        """What was seen at a listening point."""
        return self._by_point.get(point, [])

    def after(self, point: str, time: float) -> Iterator[Sighting]:
        """What was seen at a listening point later than `time`."""
        seen = self.at(point)
        start = bisect.bisect_right(seen, time, key=lambda sighting: sighting.time)
        return (seen[index] for index in range(start, len(seen)))

    @cached_property
    def _by_point(self) -> dict[str, list[Sighting]]:
        found: dict[str, list[Sighting]] = defaultdict(list)
        for sighting in self.sightings:
            found[sighting.point].append(sighting)
        return found

    def points_of(self, node: str) -> set[str]:
        """The listening points on the links of a node: its own end, where a link is heard at both."""
        points = {access.name for access in self.topology.access if access.host == node}
        for link, _ in self.topology.ends_of(node):
            points.add(link.name if link.impairment is None else f"{link.name}@{node}")
        return points

    @cached_property
    def signals(self) -> tuple[Signal, ...]:
        """Every Mobility Header message, in the order in which they were sent."""
        open_groups: dict[tuple[bytes, bytes, bytes], list[Sighting]] = {}
        groups: list[list[Sighting]] = []
        for sighting in self.sightings:
            if sighting.protocol == MOBILITY:
                key = (sighting.inner.source, sighting.inner.destination, sighting.payload)
                group = open_groups.get(key)
                again = group is not None and any(
                    seen.point == sighting.point and len(seen.layers) == len(sighting.layers) for seen in group
                )
                if group is None or again or sighting.time - group[0].time > _REPETITION:
                    group = open_groups[key] = []
                    groups.append(group)
                group.append(sighting)
        return tuple(self._signal(group) for group in groups)

    def _signal(self, group: list[Sighting]) -> Signal:
        layer = group[0].inner
        try:
            message = decode(group[0].payload, layer.home_source or layer.source, layer.home_destination or layer.destination)
        except DecodeError:
            message = None
        return Signal(tuple(group), self.owner(layer.source), self.owner(layer.destination), message)

    def signals_about(self, host: str) -> list[Signal]:
        """The messages about a host: those with an identifier (MN-ID) that some message joins to the host's link-layer
        address or to its home network prefix, and those that the host itself sends or gets."""
        link_layer = bytes.fromhex(self.topology.access_of(host).link_layer_address.replace(":", ""))
        address = IPv6Address(self.journal["addresses"].get(host, "::")).packed
        identifiers = {
            signal.node_identifier
            for signal in self.signals
            if signal.link_layer_identifier == link_layer or address[:8] in {prefix[:8] for prefix in signal.prefixes}
        } - {b""}
        return [
            signal
            for signal in self.signals
            if signal.node_identifier in identifiers or host in {signal.source, signal.destination}
        ]

    @cached_property
    def streams(self) -> dict[int, dict[str, Any]]:
        """What the journal says of each stream."""
        return {stream["stream"]: stream for stream in self.journal["streams"]}

    @cached_property
    def _probes(self) -> dict[int, dict[int, list[Sighting]]]:
        found: dict[int, dict[int, list[Sighting]]] = defaultdict(lambda: defaultdict(list))
        for sighting in self.sightings:
            if sighting.probe is not None:
                found[sighting.probe.stream][sighting.probe.number].append(sighting)
        return found

    def seen(self, stream: int) -> dict[int, list[Sighting]]:
        """The sightings of a stream's probes, by number."""
        return self._probes.get(stream, {})

    def deliveries(self, stream: int) -> list[Delivery]:
        """What became of each probe of a stream, by number; also of those that were never seen."""
        if stream not in self._deliveries:
            self._deliveries[stream] = self._deliver(stream)
        return self._deliveries[stream]

    @cached_property
    def _deliveries(self) -> dict[int, list[Delivery]]:
        return {}

    def arrivals(self, stream: int, since: float) -> Iterator[tuple[Delivery, float]]:
        """The probes of a stream that were delivered from a time on, each with its time, in that order."""
        if stream not in self._arrivals:
            found = [(one, one.delivered.time) for one in self.deliveries(stream) if one.delivered is not None]
            self._arrivals[stream] = sorted(found, key=lambda arrival: arrival[1])
        arrived = self._arrivals[stream]
        start = bisect.bisect_left(arrived, since, key=lambda arrival: arrival[1])
        return (arrived[index] for index in range(start, len(arrived)))

    @cached_property
    def _arrivals(self) -> dict[int, list[tuple[Delivery, float]]]:
        return {}

    def _deliver(self, stream: int) -> list[Delivery]:
        destination = self.streams[stream]["destination"]
        seen = self._probes.get(stream, {})
        sent = self.sent(stream)
        found = []
        for number in range(max(sent, max(seen, default=-1) + 1)):
            sightings = tuple(seen.get(number, ()))
            arrived = next((sighting for sighting in sightings if self.arrives(sighting, destination)), None)
            found.append(Delivery(number, sightings, arrived))
        return found

    def arrives(self, sighting: Sighting, node: str) -> bool:
        """Whether a packet was seen on a node's own link, bare or in a tunnel that ends at the node."""
        if sighting.point not in self._points(node):
            return False
        return sighting.bare or (len(sighting.layers) == 2 and self.owners.get(sighting.outer.destination) == node)

    def _points(self, node: str) -> set[str]:
        if node not in self._points_known:
            self._points_known[node] = self.points_of(node)
        return self._points_known[node]

    @cached_property
    def _points_known(self) -> dict[str, set[str]]:
        return {}

    def sent(self, stream: int) -> int:
        """How many probes of a stream its sender says it has sent, 0 where it says nothing."""
        result = self.results(self.streams[stream]["source"])
        return int(result.get("send", {}).get(str(stream), {}).get("sent", 0))

    def results(self, node: str) -> dict[str, Any]:
        """What the traffic of a node counted."""
        return dict(self._results.get(node, {}))

    def movements(self, host: str) -> list[dict[str, Any]]:
        """When the lab moved a host, from where, to where."""
        return [movement for movement in self.journal["movements"] if movement["host"] == host]

    def carrier(self, host: str) -> list[tuple[float, bool]]:
        """When the kernel of a host saw its carrier come (True) and go."""
        interface = self.topology.access_of(host).interface
        return [
            (event["time"], event["up"])
            for event in self.events
            if event["node"] == host and event["event"] == "carrier" and event["interface"] == interface
        ]

    def addresses(self, host: str) -> list[tuple[float, str, bool]]:
        """When the kernel of a host got (True) and lost which address, tentative ones left out."""
        return [
            (event["time"], event["address"], event["present"])
            for event in self.events
            if event["node"] == host and event["event"] == "address" and not (event["present"] and event["tentative"])
        ]

    @property
    def end(self) -> float:
        """When the lab began to stop the daemons."""
        return float(self.journal["ended"])

    def neighbor_messages(self, host: str) -> Iterator[tuple[Sighting, Icmpv6Message]]:
        """The ICMPv6 messages on a host's link that decode."""
        for sighting in self.at(self.topology.access_of(host).name):
            if sighting.protocol == ICMPV6 and sighting.bare:
                layer = sighting.inner
                try:
                    yield sighting, decode_icmpv6(sighting.payload, layer.source, layer.destination, layer.hop_limit)
                except DecodeError:
                    continue

    def listener_messages(self, point: str, headers: int) -> Iterator[tuple[Sighting, MulticastListenerMessage]]:
        """The messages of Multicast Listener Discovery at a listening point that decode, in packets with so many headers: 1 for
        what is said on the link, 2 for what is said in a tunnel."""
        for sighting in self.at(point):
            if sighting.is_listener_discovery and len(sighting.layers) == headers:
                layer = sighting.inner
                try:
                    message = decode_icmpv6(sighting.payload, layer.source, layer.destination, layer.hop_limit)
                except DecodeError:
                    continue
                if isinstance(message, MulticastListenerMessage):
                    yield sighting, message

    def gateway_at(self, host: str, time: float) -> str | None:
        """The gateway that a host's link was at."""
        where = None
        for movement in self.movements(host):
            if movement["time"] <= time:
                where = movement["to"]
        return where

    def node_of_kind(self, kind: Kind) -> str:
        """The only node of a kind. Raises StopIteration where there is none."""
        return next(iter(self.topology.of_kind(kind))).name
