# SPDX-License-Identifier: Apache-2.0
"""Reads a compiled BPF object (ELF) and loads its maps and programs.

The object declares its maps as `struct map_definition` in the section `maps` (bpf/kernel.h) and its programs in sections
named after their type. Relocations of 64-bit loads against map symbols become map file descriptors; there are no others,
for everything is inlined.

Always holds: what has been loaded is given back by `close`, also when loading fails half-way.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

from halma.forwarding.bpf import Map, Program, ProgramType
from halma.value import value

_SECTION_TYPE_SYMBOLS, _SECTION_TYPE_RELOCATIONS = 2, 9
_SYMBOL_IS_OBJECT, _SYMBOL_IS_FUNCTION = 1, 2
_PSEUDO_MAP_FD = 1
_PROGRAM_SECTIONS = {"tc": ProgramType.CLASSIFIER, "xdp": ProgramType.XDP}

OBJECT_DIRECTORY = Path(__file__).parent


@value
class MapDefinition:
    """A map as the object declares it."""

    kind: int
    key_size: int
    value_size: int
    maximum_entries: int
    flags: int


@value
class ProgramText:
    """A program's instructions, and where in them (byte offset) which map's descriptor belongs."""

    kind: ProgramType
    code: bytes
    maps: tuple[tuple[int, str], ...]


class ObjectFile:
    """A parsed object file."""

    def __init__(self, path: Path) -> None:
        """Raises OSError when the file cannot be read and ValueError when it is not a 64-bit BPF object of this machine's
        byte order."""
        data = path.read_bytes()
        if data[:5] != b"\x7fELF\x02" or struct.unpack_from("=H", data, 18)[0] != 247:
            raise ValueError(f"{path} is not a BPF object for this machine")
        table, entry_size, entries, names_index = (*struct.unpack_from("=Q", data, 40), *struct.unpack_from("=HHH", data, 58))
        sections = [struct.unpack_from("=IIQQQQIIQQ", data, table + i * entry_size) for i in range(entries)]

        def text(start: int, offset: int) -> str:
            return data[start + offset : data.index(b"\0", start + offset)].decode()

        names = [text(sections[names_index][4], section[0]) for section in sections]
        symbol_table = next(section for section in sections if section[1] == _SECTION_TYPE_SYMBOLS)
        strings = sections[symbol_table[6]][4]
        symbols = [struct.unpack_from("=IBBHQQ", data, symbol_table[4] + 24 * i) for i in range(symbol_table[5] // 24)]
        relocations: dict[int, list[tuple[int, str]]] = {}
        for section in sections:
            if section[1] == _SECTION_TYPE_RELOCATIONS:
                for i in range(section[5] // 16):
                    offset, info = struct.unpack_from("=QQ", data, section[4] + 16 * i)
                    relocations.setdefault(section[7], []).append((offset, text(strings, symbols[info >> 32][0])))

        self.maps: dict[str, MapDefinition] = {}
        self.programs: dict[str, ProgramText] = {}
        self.licence = b"GPL"
        for name_offset, info, _, index, start, size in symbols:
            if index >= len(names):
                continue
            at = sections[index][4] + start
            if names[index] == "maps" and info & 15 == _SYMBOL_IS_OBJECT:
                self.maps[text(strings, name_offset)] = MapDefinition(*struct.unpack_from("=5I", data, at))
            elif names[index] == "license" and info & 15 == _SYMBOL_IS_OBJECT:
                self.licence = data[at : at + size].rstrip(b"\0")
            elif names[index] in _PROGRAM_SECTIONS and info & 15 == _SYMBOL_IS_FUNCTION:
                places = tuple(
                    (offset - start, name) for offset, name in relocations.get(index, ()) if start <= offset < start + size
                )
                self.programs[text(strings, name_offset)] = ProgramText(
                    _PROGRAM_SECTIONS[names[index]], data[at : at + size], places
                )


class Collection:
    """The maps of an object, made; and its programs, loaded when they are asked for."""

    def __init__(self, file: ObjectFile, entries: Mapping[str, int] | None = None) -> None:
        """`entries` replaces the sizes of some maps. Raises OSError."""
        self._file = file
        self.maps: dict[str, Map] = {}
        self._programs: dict[str, Program] = {}
        try:
            for name, made in file.maps.items():
                size = (entries or {}).get(name, made.maximum_entries)
                self.maps[name] = Map(name, made.kind, made.key_size, made.value_size, size, made.flags)
        except OSError:
            self.close()
            raise

    def program(self, name: str) -> Program:
        """A program, loaded into the kernel at the first call. Raises OSError when the kernel refuses it."""
        if name not in self._programs:
            source = self._file.programs[name]
            code = bytearray(source.code)
            for offset, map_name in source.maps:
                code[offset + 1] = (code[offset + 1] & 0x0F) | (_PSEUDO_MAP_FD << 4)
                struct.pack_into("=i", code, offset + 4, self.maps[map_name].fd)
            self._programs[name] = Program(name, source.kind, bytes(code), self._file.licence)
        return self._programs[name]

    def close(self) -> None:
        """Give maps and programs back."""
        for program in self._programs.values():
            program.close()
        for made in self.maps.values():
            made.close()
        self._programs.clear()
        self.maps.clear()
