# SPDX-License-Identifier: Apache-2.0
"""Commands that ask a running daemon to do something: `revoke`, `attach`, `detach`, `retry`, `reload`.

Always holds: exit status 0 only when the daemon has said that it is done.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from halma.cli.connection import ADDRESS, LINK_LAYER_ADDRESS, NODE, PREFIX, SocketPath, ended, open_client
from halma.cli.tables import show_cell
from halma.control.schema import (
    Address,
    Attach,
    ControlError,
    Detach,
    Identifier,
    LinkLayerAddress,
    PrefixFilter,
    Reload,
    Request,
    Retry,
    Revoke,
)
from halma.daemon.configuration_gateway import ACCESS_TECHNOLOGIES, HANDOFF_INDICATORS


def revoke(
    node: Annotated[
        Identifier | None, typer.Option(parser=NODE, metavar="NODE", help="All sessions and home bindings of this node.")
    ] = None,
    prefix: Annotated[
        PrefixFilter | None,
        typer.Option(parser=PREFIX, metavar="PREFIX", help="What holds this prefix or address, or lies in it."),
    ] = None,
    peer: Annotated[
        Address | None, typer.Option(parser=ADDRESS, metavar="ADDRESS", help="All sessions with this gateway (or anchor).")
    ] = None,
    realm: Annotated[str, typer.Option(metavar="REALM", help="Of the peer's sessions only those of nodes in this realm.")] = "",
    socket: SocketPath = None,
) -> None:
    """End sessions, and tell the other end (Binding Revocation, RFC 5846).

    Give one of --node, --prefix and --peer.
    """
    if sum(map(bool, (node, prefix, peer))) != 1:
        raise typer.BadParameter("give one of --node, --prefix and --peer")
    if realm and not peer:
        raise typer.BadParameter("--realm needs --peer")
    _ask(Revoke(node or Identifier(), prefix or PrefixFilter(), peer or Address(), realm), "revoke", socket)


def attach(
    interface: Annotated[str, typer.Argument(metavar="INTERFACE", help="The access interface that the node is on.")],
    link_layer_address: Annotated[
        LinkLayerAddress,
        typer.Argument(parser=LINK_LAYER_ADDRESS, metavar="ADDRESS", help="The node's link-layer address."),
    ],
    node: Annotated[
        Identifier | None, typer.Option(parser=NODE, metavar="NODE", help="The identifier that access authentication found.")
    ] = None,
    handoff: Annotated[
        str, typer.Option(metavar="INDICATOR", help=f"What the link layer knows: {', '.join(HANDOFF_INDICATORS)}.")
    ] = "",
    access_technology: Annotated[
        str, typer.Option(metavar="NAME", help=f"The kind of link: {', '.join(ACCESS_TECHNOLOGIES)}.")
    ] = "",
    socket: SocketPath = None,
) -> None:
    """Tell the gateway that a node has come to an access interface.

    This is what a script of an access point calls, see examples/hostapd-action.sh.
    """
    if handoff and handoff not in HANDOFF_INDICATORS:
        raise typer.BadParameter(f"{handoff} is none of {', '.join(HANDOFF_INDICATORS)}")
    if access_technology and access_technology not in ACCESS_TECHNOLOGIES:
        raise typer.BadParameter(f"{access_technology} is none of {', '.join(ACCESS_TECHNOLOGIES)}")
    request = Attach(
        interface,
        link_layer_address,
        node or Identifier(),
        int(HANDOFF_INDICATORS[handoff]) if handoff else 0,
        int(ACCESS_TECHNOLOGIES[access_technology]) if access_technology else 0,
    )
    _ask(request, "attach", socket)


def detach(
    link_layer_address: Annotated[
        LinkLayerAddress | None,
        typer.Argument(parser=LINK_LAYER_ADDRESS, metavar="[ADDRESS]", help="The node's link-layer address."),
    ] = None,
    node: Annotated[
        Identifier | None, typer.Option(parser=NODE, metavar="NODE", help="Instead: all sessions of this node.")
    ] = None,
    socket: SocketPath = None,
) -> None:
    """Tell the gateway that a node has left."""
    if bool(link_layer_address) == bool(node):
        raise typer.BadParameter("give the link-layer address, or --node")
    _ask(Detach(link_layer_address or LinkLayerAddress(), node or Identifier()), "detach", socket)


def retry(
    node: Annotated[
        Identifier | None,
        typer.Argument(parser=NODE, metavar="[NODE]", help="At a gateway: one node. Default: all."),
    ] = None,
    socket: SocketPath = None,
) -> None:
    """Let a gateway, or a mobile node, try again what its anchor has refused.

    Whatever the reason was, it is taken for mended.
    """
    _ask(Retry(node or Identifier()), "retry", socket)


def reload(socket: SocketPath = None) -> None:
    """Let the daemon read its configuration file again.

    Peers, profiles and associations are taken over; what else has changed is named, and needs a restart.
    """
    _ask(Reload(), "reload", socket)


def _ask(request: Request, what: str, socket: Path | None) -> None:
    with ended(), open_client(socket, what) as client:
        for row in client.ask(request):
            if row.get("revoked") == 0:
                raise ControlError("there is no such session")
            for key, value in row.items():
                print(f"{key.replace('_', ' ')}: {', '.join(show_cell(key, value))}")
