# SPDX-License-Identifier: Apache-2.0
"""The name server of a lab: it answers for one small zone, over UDP, and knows nothing else.

    python -m halma.lab.name_server -c FILE

FILE is TOML: `[names]`, with the `address` to answer at, the `domain`, and its `records` in the words of a zone file.

Always holds: it says READY=1 (sd_notify) when it can be asked; an answer has the records that were asked for and no others, so
that each question is seen on the wire; what is no question is not answered.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
import tomllib
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.zone

from halma.daemon.notify import Notifier

PORT = 53


def answer(zone: dns.zone.Zone, question: dns.message.Message) -> dns.message.Message:
    """What the zone says to a question."""
    made = dns.message.make_response(question)
    made.flags |= dns.flags.AA
    if len(question.question) != 1 or zone.origin is None or not question.question[0].name.is_subdomain(zone.origin):
        made.set_rcode(dns.rcode.REFUSED)
        return made
    asked = question.question[0]
    if zone.get_node(asked.name) is None:
        made.set_rcode(dns.rcode.NXDOMAIN)
    elif (found := zone.get_rrset(asked.name, asked.rdtype)) is not None:
        made.answer.append(found)
    return made


def main(arguments: list[str]) -> None:
    """Answer until SIGTERM."""
    plan = tomllib.loads(Path(arguments[1]).read_text())["names"]
    zone = dns.zone.from_text("\n".join(plan["records"]), plan["domain"], relativize=False, check_origin=False)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as port:
        port.bind((plan["address"], PORT))
        Notifier().ready()
        while True:
            octets, source = port.recvfrom(4096)
            with contextlib.suppress(dns.exception.DNSException, OSError):
                question = dns.message.from_wire(octets)
                if not question.flags & dns.flags.QR:
                    port.sendto(answer(zone, question).to_wire(), source)


if __name__ == "__main__":
    main(sys.argv[1:])
