# SPDX-License-Identifier: Apache-2.0
"""Take the normative sentences (MUST, SHOULD, MAY, ...) out of RFCs: `RFC#section-n <TAB> level <TAB> sentence`.

    python -m tools.rfc_statements FOLDER 5213 5846 > docs/rfc/statements.tsv      FOLDER holds rfc5213.txt, ...

Always holds: n counts the normative sentences of one section from 1, so an id such as 5213#5.3.5-2 names one sentence for
good; tests cite it (`tools.rfc_coverage`).
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

HEADING = re.compile(r"^(\d+(?:\.\d+)*)\.?  (\S.*)$")
LEVEL = re.compile(r"\b(MUST NOT|MUST|SHALL NOT|SHALL|SHOULD NOT|SHOULD|REQUIRED|NOT RECOMMENDED|RECOMMENDED|MAY)\b")
SENTENCE_END = re.compile(r"(?<=[.:;]) (?=[A-Z(*o])")
PAGE_BREAK = re.compile(r"\n*[^\n]*\[Page \d+\]\n\f?\n?[^\n]*\n+")
BODY = re.compile(r"(?m)^1\. +Introduction *$")


def paragraphs(text: str) -> Iterator[tuple[str, str]]:
    """The section number and the text, on one line, of each paragraph of an RFC's body."""
    text = PAGE_BREAK.sub("\n\0\n", text)
    starts = [match.start() for match in BODY.finditer(text)]
    section, lines = "", list[str]()
    for line in [*text[starts[-1] if starts else 0 :].split("\n"), ""]:
        # A paragraph goes on over a page break, unless its last sentence is complete.
        if line == "\0" and lines and not lines[-1].endswith((".", ":", ";")):
            continue
        content = line.strip(" \0")
        heading = HEADING.match(line)
        if heading and not content.endswith("."):
            section = heading.group(1)
        elif content:
            lines.append(content)
            continue
        if lines:
            yield section, " ".join(lines)
        lines = []


def statements(number: str, text: str) -> Iterator[tuple[str, str, str]]:
    """The id, the level and the text of each normative sentence of RFC `number`."""
    count = Counter[str]()
    for section, paragraph in paragraphs(text):
        for sentence in SENTENCE_END.split(re.sub(r"\s+", " ", paragraph)):
            if section and (level := LEVEL.search(sentence)):
                count[section] += 1
                yield f"{number}#{section}-{count[section]}", level.group(), sentence.strip()


def main(arguments: Sequence[str]) -> int:
    """The command line; gives the exit status."""
    if not arguments or not Path(arguments[0]).is_dir():
        print(__doc__, file=sys.stderr)
        return 2
    folder, *numbers = arguments
    for number in numbers:
        for row in statements(number, (Path(folder) / f"rfc{number}.txt").read_text(errors="replace")):
            print(*row, sep="\t")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
