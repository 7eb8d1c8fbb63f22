# SPDX-License-Identifier: Apache-2.0
"""Mutation fuzzing of every decoder: `python -m tests.fuzz.mutate --count 1000000 --seed 7`.

Messages of every declared type, with every declared option, are damaged in the ways that networks and attackers damage them
(bits, octets, lengths, pieces cut out, doubled or exchanged) and decoded again, most of them with the checksum made right so
that it is not the checksum that stops them.

Always holds: the same seed makes the same mutations; anything raised but `DecodeError` ends the run with the octets that did
it, as does a message that decodes but cannot be encoded, or does not decode to itself after that.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator

from halma.wire import DecodeError, Message, decode, encode
from halma.wire.checksum import checksum
from halma.wire.dissect import dissect
from halma.wire.icmpv6 import decode_icmpv6, encode_icmpv6
from halma.wire.ipv6 import Packet, build_packet
from halma.wire.messages import BindingAcknowledgement, BindingUpdate
from halma.wire.numbers import NextHeader
from halma.wire.pcap import ETHERNET, read_capture, write_frame, write_interface, write_section
from halma.wire.text import lines, plain, summary
from tests.wire.samples import ALL_NODES, ANCHOR, EXTENSION_HEADERS, GATEWAY, ICMPV6, LINK_LOCAL, MESSAGES, OPTIONS

INTERESTING = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 15, 16, 17, 18, 22, 27, 52, 59, 62, 127, 128, 135, 200, 254, 255)


def mutate(data: bytearray, choose: random.Random) -> bytearray:
    """Damage `data` in one to four ways."""
    for _ in range(choose.choice((1, 1, 1, 2, 3, 4))):
        size = len(data)
        if not size:
            return data
        place, way = choose.randrange(size), choose.randrange(8)
        if way < 3:
            data[place] = choose.choice(INTERESTING)
        elif way == 3:
            data[place] ^= 1 << choose.randrange(8)
        elif way == 4:
            data[place] = (data[place] + choose.choice((-2, -1, 1, 2))) & 0xFF
        elif way == 5:
            del data[place : place + choose.randrange(1, 9)]
        elif way == 6:
            start = choose.randrange(size)
            data[place:place] = data[start : start + choose.randrange(1, 25)]
        else:
            start = choose.randrange(size)
            data[place : place + 4] = data[start : start + 4]
    return data


def _fix_mobility(data: bytearray, choose: random.Random) -> bytes:
    """Make length and checksum right, so that the damage inside is reached; leave some as they are."""
    fate = choose.randrange(16)
    if fate and len(data) >= 8:
        if fate > 3:
            data.extend(bytes(-len(data) % 8))
            del data[2048:]
            data[1] = len(data) // 8 - 1
        data[4:6] = bytes(2)
        end = min(len(data), (data[1] + 1) * 8)
        data[4:6] = checksum(GATEWAY, ANCHOR, bytes(data[:end]), NextHeader.MOBILITY).to_bytes(2, "big")
    return bytes(data)


def _try_mobility(data: bytes) -> str:
    message = decode(data, GATEWAY, ANCHOR)
    again = encode(message, GATEWAY, ANCHOR) if len(data) < 1024 else b""
    if again and decode(again, GATEWAY, ANCHOR) != message:
        raise AssertionError("does not decode to itself")
    return type(message).__name__


def _fix_icmpv6(data: bytearray, choose: random.Random) -> bytes:
    if choose.randrange(16) and len(data) >= 4:
        data[2:4] = bytes(2)
        data[2:4] = checksum(LINK_LOCAL, ALL_NODES, bytes(data), NextHeader.ICMPV6).to_bytes(2, "big")
    return bytes(data)


def _try_icmpv6(data: bytes) -> str:
    message = decode_icmpv6(data, LINK_LOCAL, ALL_NODES)
    if decode_icmpv6(encode_icmpv6(message, LINK_LOCAL, ALL_NODES), LINK_LOCAL, ALL_NODES) != message:
        raise AssertionError("does not decode to itself")
    return type(message).__name__


def _try_packet(data: bytes) -> str:
    message = dissect(data).message
    if isinstance(message, DecodeError):
        raise message
    if message is None:
        return "packet"
    summary(message), lines(message), plain(message)
    return type(message).__name__


def _try_capture(data: bytes) -> str:
    return f"{sum(1 for _ in read_capture(data))} frames"


Target = tuple[list[bytes], Callable[[bytearray, random.Random], bytes], Callable[[bytes], str], int]


def _as_it_is(data: bytearray, _choose: random.Random) -> bytes:
    return bytes(data)


def targets() -> dict[str, Target]:
    """By name: the well-formed inputs, what repairs a damaged one, what decodes it, and its share of the mutations."""
    messages: list[Message] = list(MESSAGES)
    messages.extend(BindingUpdate(1, 0x8200, 900, (option,)) for option in OPTIONS)
    messages.extend(BindingAcknowledgement(0, 0x20, 1, 900, (option, OPTIONS[5])) for option in OPTIONS)
    headers = [encode(message, GATEWAY, ANCHOR) for message in messages]
    packets = [
        build_packet(Packet(GATEWAY, ANCHOR, NextHeader.MOBILITY, header, extension_headers=EXTENSION_HEADERS[:count]))
        for count, header in enumerate(headers[: len(EXTENSION_HEADERS)])
    ]
    packets.append(build_packet(Packet(GATEWAY, ANCHOR, NextHeader.IPV6, packets[0])))
    captures = [
        b"".join((write_section(), write_interface("link", ETHERNET), write_frame(0, 10**18, bytes(12) + b"\x86\xdd" + packet)))
        for packet in packets
    ]
    icmpv6 = [encode_icmpv6(message, LINK_LOCAL, ALL_NODES) for message in ICMPV6]
    return {
        "mobility": (headers, _fix_mobility, _try_mobility, 14),
        "icmpv6": (icmpv6, _fix_icmpv6, _try_icmpv6, 3),
        "packet": (packets, _as_it_is, _try_packet, 2),
        "capture": (captures, _as_it_is, _try_capture, 1),
    }


def run(count: int, seed: int) -> Counter[str]:
    """Try `count` mutations: how often each outcome came. Raises what a decoder raised, if it was no `DecodeError`."""
    choose, outcomes = random.Random(seed), Counter[str]()
    every = list(_schedule())
    for number in range(count):
        inputs, fix, attempt = every[number % len(every)]
        data = fix(mutate(bytearray(choose.choice(inputs)), choose), choose)
        try:
            outcomes[attempt(data)] += 1
        except DecodeError as error:
            outcomes[f"refused: {error.reason.value}"] += 1
        except BaseException as error:
            error.add_note(f"seed {seed}, mutation {number}: {data.hex()}")
            raise
    return outcomes


def _schedule() -> Iterator[tuple[list[bytes], Callable[[bytearray, random.Random], bytes], Callable[[bytes], str]]]:
    for inputs, fix, attempt, share in targets().values():
        for _ in range(share):
            yield inputs, fix, attempt


def main() -> None:
    """Run from the command line; prints what came out and how long it took."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.mutate", description="Mutation fuzzing of every decoder")
    parser.add_argument("--count", type=int, default=1_000_000, help="mutations to try (default: 1000000)")
    parser.add_argument("--seed", type=int, default=1, help="where the pseudo-random numbers start (default: 1)")
    arguments = parser.parse_args()
    start = time.monotonic()
    outcomes = run(arguments.count, arguments.seed)
    for outcome, times in outcomes.most_common():
        print(f"{times:>12} {outcome}")
    print(f"{arguments.count:>12} mutations in {time.monotonic() - start:.0f} s, seed {arguments.seed}", file=sys.stderr)


if __name__ == "__main__":
    main()
