import re
import sys

import pytest

from lorair_cli.toml_lines import line_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TEXT = """\
top = 1  # [plain]
words = '''
[plain]
size = 0
'''

# size = 9
[plain]
note = "size = 1, [x]"  # size = 2
size = 3
list = [  # first = {
  "a, b",
  # "c",
  "d", ["e"],
  "f",
]

["quoted name"]
inner = { size = 1, note = "}, size = 3", more = { size = 2 } }
rows = [
  { name = "{ size = 5", size = 5 },
  { size = 6 }, { name = "x",  size = 7 },
]
size = 8

  [ indented ]
  size . deep = 4
  spread.size = 5
"""


@pytest.mark.parametrize(
    "table, field, line",
    [
        ("top", "", 1),
        ("plain", "", 8),
        ("plain", "note", 9),
        ("plain", "size", 10),
        ("plain", "list", 11),
        ("plain", "list[0]", 12),
        ("plain", "list[1]", 14),
        ("plain", "list[2]", 14),
        ("plain", "list[3]", 15),
        ("plain", "list[9]", 11),
        ("plain", "absent", 8),
        ("plain", "inner", 8),
        ("quoted name", "", 18),
        ("quoted name", "inner.size", 19),
        ("quoted name", "inner.more.size", 19),
        ("quoted name", "rows[0].size", 21),
        ("quoted name", "rows[1].size", 22),
        ("quoted name", "rows[2].size", 22),
        ("quoted name", "rows[2].absent", 22),
        ("quoted name", "size", 24),
        ("indented", "", 26),
        ("indented", "size", 27),
        ("indented", "size.deep", 27),
        ("indented", "spread", 28),
        ("no such", "size", None),
        ("*", "(", None),
    ],
)
def test_lines(table, field, line):
    assert line_of(TEXT, table, field) == line


def test_the_text_is_toml():
    tables = tomllib.loads(TEXT)
    assert tables.keys() == {"top", "words", "plain", "quoted name", "indented"}
    assert tables["plain"]["list"] == ["a, b", "d", ["e"], "f"] and tables["quoted name"]["rows"][2]["size"] == 7


def test_every_field_of_every_table_is_found():
    lines = TEXT.splitlines()
    for table in ("plain", "quoted name", "indented"):
        for field in tomllib.loads(TEXT)[table]:
            assert re.match(rf"\s*{field}\b", lines[line_of(TEXT, table, field) - 1])
