# SPDX-License-Identifier: Apache-2.0
"""The anchors' caches before and after a step, as HTML: a column for each state that was seen, both caches in each, and what
has changed since the column before it in colour and in a word.

Always holds: every entry that was written down is in it; text is escaped; on a narrow screen columns stand below each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from ipaddress import IPv6Address

from halma.lab.caches import Entry, Look, Mark, Marked, compare

STYLE = """
.caches { display: grid; grid-auto-flow: column; grid-template-rows: repeat(3, auto); grid-auto-columns: minmax(0, 1fr);
  gap: .25rem .6rem; margin: .3rem 0 .9rem; }
.caches.same { grid-auto-flow: row; grid-template-rows: auto; grid-template-columns: repeat(2, minmax(0, 1fr)); }
.caches.same > b { grid-column: 1 / -1; }
.caches > b { font-size: .9em; border-bottom: 2px solid #d5dce4; }
.cache { border: 1px solid #d5dce4; border-radius: 6px; padding: .3rem .5rem; font-size: .87em; }
.cache > span { color: #5b6875; font-size: .92em; }
.entry { margin: .2rem 0; padding: .1rem .4rem; border-left: 4px solid #d5dce4; overflow-wrap: anywhere; }
.entry small { color: #5b6875; } .entry i { font-style: normal; font-weight: 600; font-size: .85em; }
.entry.new { border-color: #2e7d32; background: #e8f5e9; } .entry.new i { color: #2e7d32; }
.entry.changed { border-color: #b8860b; background: #fff8e1; } .entry.changed i { color: #8a6100; }
.entry.gone { border-color: #c62828; background: #fdecea; } .entry.gone i { color: #c62828; } .entry.gone s { color: #5b6875; }
@media screen and (max-width: 640px) { .caches, .caches.same { grid-auto-flow: row; grid-template-rows: none;
    grid-template-columns: minmax(0, 1fr); }
  .caches > b { margin-top: .4rem; } }
@media print { .caches { break-inside: avoid; } h4 { break-after: avoid; } }
"""
MOST_STATES = 4
"""How many columns are shown; of more states, the last ones."""
_CACHES = (("PMIPv6 cache", "home network prefix \u2192 gateway"), ("MIPv6 cache", "home address \u2192 care-of address"))

Owner = Callable[[bytes], str]


def draw(title: str, seen: Sequence[Look], began: float, owner: Owner) -> str:
    """What an anchor's caches held during a step that began at `began`; `owner` knows whose an address is."""
    heading = f"<h4>Binding caches of {escape(title)}</h4>"
    if not seen:
        return f'{heading}<p class="faint">Nobody looked into them.</p>'
    shown = [*seen[:1], *seen[max(1, len(seen) - MOST_STATES + 1) :]]
    told = "" if len(shown) == len(seen) else f'<p class="faint">{len(seen) - len(shown)} states between are left out.</p>'
    columns = [
        _column(_when(look, began, index, len(shown)), look, shown[max(0, index - 1)], owner)
        for index, look in enumerate(shown)
    ]
    return f'{heading}{told}<div class="caches{" same" if len(shown) == 1 else ""}">{"".join(columns)}</div>'


def _when(look: Look, began: float, index: int, count: int) -> str:
    if count == 1:
        return "before and after: nothing has changed"
    if index == 0:
        return "before"
    name = "after" if index == count - 1 else "meanwhile"
    return f"{name} (seen {look.time - began:.1f} s after the step began)"


def _column(heading: str, look: Look, before: Look, owner: Owner) -> str:
    parts = [f"<b>{escape(heading)}</b>"]
    for (name, way), entries, old in zip(_CACHES, (look.proxy, look.home), (before.proxy, before.home), strict=True):
        if look.fault:
            inner = f'<div class="entry">not known: {escape(look.fault)}</div>'
        else:
            inner = "".join(_entry(marked, owner) for marked in compare(old, entries)) or '<div class="entry">empty</div>'
        parts.append(f'<div class="cache"><strong>{name}</strong> <span>{way}</span>{inner}</div>')
    return "".join(parts)


_WORDS = {Mark.SAME: "", Mark.NEW: "new", Mark.CHANGED: "changed", Mark.GONE: "gone"}


def _entry(marked: Marked, owner: Owner) -> str:
    entry, before = marked.entry, marked.before
    told = f"{_way(entry, owner)}"
    if marked.mark is Mark.GONE:
        told = f"<s>{told}</s>"
    elif before is not None and before.target != entry.target:
        told += f" <small>(was {_place(before.target, owner)})</small>"
    was = f" (was {escape(before.state)})" if before is not None and before.state != entry.state else ""
    ends = "" if entry.left is None or marked.mark is Mark.GONE else f", ends in {entry.left:.0f} s"
    state = "" if marked.mark is Mark.GONE else f"<br><small>{escape(entry.node)}, {escape(entry.state)}{was}{ends}</small>"
    mark = f" <i>{_WORDS[marked.mark]}</i>" if marked.mark is not Mark.SAME else ""
    return f'<div class="entry {marked.mark.value}">{told}{mark}{state}</div>'


def _way(entry: Entry, owner: Owner) -> str:
    return f"{escape(', '.join(entry.key))} \u2192 {_place(entry.target, owner)}"


def _place(address: str, owner: Owner) -> str:
    """An address, with the name of the node whose it is where that is known."""
    name = owner(IPv6Address(address).packed)
    return escape(address if name == address else f"{name} {address}")
