"""On which line of a TOML file something stands: the parser of the standard library does not say."""

from __future__ import annotations

import re

_STRING_OR_COMMENT = re.compile(
    r'"""(?:\\.|[^\\])*?"""' + r"|'''.*?'''" + r'|"(?:\\.|[^"\\\n])*"' + r"|'[^'\n]*'" + r"|#[^\n]*", re.DOTALL
)


def line_of(text: str, table: str, field: str = "") -> int | None:
    """The line, counted from one, of a field in a table of a TOML text that parses.

    Args:
        text: the whole file.
        table: name of a table at the top, or of a value there.
        field: its path inside the table, such as ``files[0].bytes``; empty for the table itself. Of a path that is not
            there, or is written in a way not looked for (sub-tables with a header of their own), the part that is
            found counts.

    Returns:
        The line; None if even the table is not found.
    """
    plain = _STRING_OR_COMMENT.sub(_masked, text)
    heads = re.compile(rf"^[ \t]*(?:\[[ \t]*)?([\"']?){re.escape(table)}\1[ \t]*[]=]", re.MULTILINE)
    # A quoted name is masked as a whole, so what is left of a line inside a longer string shows no bracket and no "=".
    head = next((m for m in heads.finditer(text) if plain[m.end() - 1] in "]="), None)
    if head is None:
        return None
    following = re.compile(r"^[ \t]*\[", re.MULTILINE).search(plain, head.end())
    at, end = head.start(), following.start() if following else len(plain)
    steps = re.findall(r"\[\d+\]|[^.\[\]]+", field)
    for step in steps:
        if step.startswith("["):
            found = _item(plain, at, end, int(step[1:-1]))
        else:
            # Fields of the table begin a line; those of an inline table follow its brace or a comma.
            before = r"^[ \t]*" if step is steps[0] else r"[{,]\s*"
            match = re.compile(rf"{before}({re.escape(step)})[ \t]*[.=]", re.MULTILINE).search(plain, at, end)
            found = match.start(1) if match else None
        if found is None:
            break
        at = found
    return text.count("\n", 0, at + len(plain[at:]) - len(plain[at:].lstrip())) + 1


def _masked(match: re.Match[str]) -> str:
    """As many characters on as many lines, none of which means anything in TOML."""
    return re.sub(r"[^\n]", " " if match[0].startswith("#") else '"', match[0])


def _item(plain: str, start: int, end: int, index: int) -> int | None:
    """Where an element of the first array after ``start`` begins."""
    depth = seen = 0
    for at in range(start, end):
        character = plain[at]
        depth += (character in "[{") - (character in "]}")
        seen += character == "," and depth == 1
        if depth == 1 and seen == index and character in "[,":
            return at + 1
    return None
