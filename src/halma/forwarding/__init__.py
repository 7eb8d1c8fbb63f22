# SPDX-License-Identifier: Apache-2.0
"""The data plane: `open_plane` gives the best one that this kernel can run, or the one that is asked for.

Always holds: a plane that is not what was asked for by name is never given; `auto` says in `notes` what it could not have.
"""

from __future__ import annotations

from halma.forwarding.bpfplane import MECHANISMS, BpfPlane
from halma.forwarding.memory import MemoryPlane
from halma.forwarding.plane import Plane, PlaneSettings
from halma.forwarding.seg6plane import Seg6Plane
from halma.forwarding.tunplane import TunPlane

__all__ = ["KINDS", "Plane", "PlaneSettings", "open_plane"]

KINDS = ("auto", *MECHANISMS, "seg6", "tun", "memory")


def open_plane(kind: str, settings: PlaneSettings) -> Plane:
    """Open a plane. `auto` tries BPF (each port gets what suits it), then seg6, then a TUN device read by this process, and
    says in `notes` why. Raises ValueError for an unknown kind and OSError when the kernel cannot run it."""
    if kind == "memory":
        return MemoryPlane(settings)
    if kind == "seg6":
        return Seg6Plane(settings)
    if kind == "tun":
        return TunPlane(settings)
    if kind in MECHANISMS:
        return BpfPlane(settings, kind)
    if kind != "auto":
        raise ValueError(f"unknown plane {kind!r}: one of {', '.join(KINDS)}")
    reasons = []
    try:
        return BpfPlane(settings)
    except (OSError, ValueError) as error:
        reasons.append(f"no BPF plane: {error}")
    fallback: Seg6Plane | TunPlane
    try:
        fallback = Seg6Plane(settings)
    except OSError as error:
        reasons.append(f"no seg6 plane: {error}")
        fallback = TunPlane(settings)
    fallback.add_notes(reasons)
    return fallback
