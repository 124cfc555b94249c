import hashlib
import re

import pytest

from lorair_cli.errors import WeightsError
from lorair_cli.evaluation.published import get_table
from lorair_cli.settings import SETTINGS
from lorair_cli.weights.manifest import describe_file, identity, manifest_path, read_manifest

SHA = "0123456789abcdef" * 4
GOOD = f"""
[compact-3task]
setting = "3task"
scale = "compact"
format = "lorair"
source = {{ kind = "bundled" }}
files = [
  {{ name = "a.safetensors", sha256 = "{SHA}", bytes = 12 }},
  {{ name = "b.safetensors", sha256 = "", bytes = 0 }},
]
licence = "Apache-2.0"
degradations = ["rain", "haze", "noise"]
trained_on = "photos"
paper = "table 2, PSNR 32.42 dB"
"""


def parsed(tmp_path, text):
    path = tmp_path / "weights.toml"
    path.write_text(text)
    return read_manifest(path)


def test_the_projects_own_manifest_is_sound():
    entries = read_manifest()
    assert manifest_path().name == "weights.toml"
    assert {(e.setting, e.scale) for e in entries.values()} >= {("10task", "compact"), ("4task", "paper")}
    for name, entry in entries.items():
        assert name == f"{entry.scale}-{entry.setting}"
        assert entry.degradations == SETTINGS[entry.setting].degradations
        assert entry.licence == "Apache-2.0"
        assert (entry.format == "authors") == (entry.source.kind == "hub")
    assert len({(e.setting, e.scale) for e in entries.values()}) == len(entries)
    assert len({e.paper for e in entries.values()}) == len(entries)
    paper = entries["paper-4task"]
    assert paper.source.repository == "shallowdream204/LoRA-IR"
    assert [f.name for f in paper.files] == ["setting1_ir.pth", "setting1_router.pth"]


def test_a_table_becomes_an_entry(tmp_path):
    entry = parsed(tmp_path, GOOD)["compact-3task"]
    assert (entry.setting, entry.scale, entry.format, entry.source.kind) == ("3task", "compact", "lorair", "bundled")
    assert [(f.name, f.sha256, f.bytes, f.published) for f in entry.files] == [
        ("a.safetensors", SHA, 12, True),
        ("b.safetensors", "", 0, False),
    ]
    assert (entry.trained_on, entry.note) == ("photos", "")


@pytest.mark.parametrize(
    "old, new, line, message",
    [
        (
            'scale = "compact"',
            'scale = "huge"',
            4,
            r"\[compact-3task\]: scale is 'huge', expected one of compact, paper",
        ),
        ('scale = "compact"\n', "", 2, r"\[compact-3task\]: scale is missing"),
        ('licence = "Apache-2.0"', "licence = 3", 11, r"\[compact-3task\]: licence is 3"),
        ("licence", "license", 11, r"\[compact-3task\]: 'license' is not a known field"),
        ('setting = "3task"', 'setting = "6task"', 3, r"\[compact-3task\]: setting '6task'"),
        ('"haze", "noise"', '"noise", "haze"', 12, r"\[compact-3task\]: degradations"),
        ("bytes = 12", 'bytes = "12"', 8, r"\[compact-3task\]: files\[0\]\.bytes is '12'"),
        ("bytes = 12", "bytes = 0", 8, r"\[compact-3task\]: bytes and sha256 of a\.safetensors"),
        ("bytes = 12", "bytes = -12", 8, r"\[compact-3task\]: bytes and sha256 of a\.safetensors"),
        (SHA, SHA[1:], 8, r"\[compact-3task\]: sha256 of a\.safetensors"),
        (SHA, SHA.upper(), 8, r"\[compact-3task\]: sha256 of a\.safetensors"),
        ("a.safetensors", "../a.safetensors", 8, r"\[compact-3task\]: name '\.\./a\.safetensors'"),
        ("a.safetensors", "c:\\\\a.safetensors", 8, r"\[compact-3task\]: name 'c:"),
        ("a.safetensors", "..", 8, r"\[compact-3task\]: name '\.\.'"),
        ('kind = "bundled"', 'kind = "hub"', 6, r"\[compact-3task\]: source has a repository"),
        ('kind = "bundled"', 'kind = "bundled", revision = "main", repository = "a/b"', 6, "source has a repository"),
        (
            'format = "lorair"',
            'format = "authors"',
            5,
            "format authors is two files of a hub repository",
        ),
        ('source = { kind = "bundled" }', "source = 3", 6, r"\[compact-3task\]: source is not a table"),
        ("[compact-3task]", "compact-3task = 3\n[other]", 2, r"\[compact-3task\]: the description is not a table"),
        ('scale = "compact"', "scale = ", 4, r"not valid TOML.*line 4"),
    ],
)
def test_errors_name_line_table_and_field(tmp_path, old, new, line, message):
    assert old in GOOD
    with pytest.raises(WeightsError, match=message) as error:
        parsed(tmp_path, GOOD.replace(old, new, 1))
    assert "\n" not in str(error.value) and "weights.toml" in str(error.value)
    assert re.findall(r"line (\d+)", str(error.value)) == [str(line)]


def test_the_papers_numbers_are_the_papers():
    for entry in read_manifest().values():
        number, text = re.fullmatch(r"table (\d+), (.*)", entry.paper).groups()
        table = get_table(int(number))
        assert SETTINGS[entry.setting].paper.startswith(f"{table.setting}, ")
        # Figures, not the digits in names such as Snow100K.
        figures = {float(figure) for figure in re.findall(r"(?<![\w.])\d+\.\d+", text)}
        assert figures and figures <= {cell.paper for cell in table.cells}


def test_a_second_table_has_its_own_lines(tmp_path):
    other = GOOD.replace("[compact-3task]", "# a note\n[ 'other' ]").replace("bytes = 0", "bytes = 0.5")
    with pytest.raises(WeightsError, match=r"line 24: \[other\]: files\[1\]\.bytes is 0\.5"):
        parsed(tmp_path, GOOD + other)


def test_a_number_of_the_paper_is_asked_for(tmp_path):
    with pytest.raises(WeightsError, match=r"line 14: \[compact-3task\]: paper is empty"):
        parsed(tmp_path, GOOD.replace("table 2, PSNR 32.42 dB", " "))


def test_a_table_without_files_is_refused(tmp_path):
    start, end = GOOD.index("files"), GOOD.index("licence")
    with pytest.raises(WeightsError, match="files is empty"):
        parsed(tmp_path, GOOD[:start] + "files = []\n" + GOOD[end:])


def test_a_missing_manifest_is_one_line(tmp_path):
    with pytest.raises(WeightsError, match="cannot be read"):
        read_manifest(tmp_path / "none.toml")


@pytest.mark.parametrize("size", [1, 5, (1 << 20) + 7])
def test_describe_file(tmp_path, size):
    path = tmp_path / "a.safetensors"
    content = bytes(i % 251 for i in range(1000)) * (size // 1000) + b"z" * (size % 1000)
    path.write_bytes(content)
    file = describe_file(path)
    assert (file.name, file.sha256, file.bytes) == ("a.safetensors", hashlib.sha256(content).hexdigest(), size)


def test_an_identity_begins_like_every_files_digest(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"abc")
    second.write_bytes(b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")
    # The digests of FIPS 180-2, appendix B.
    assert identity([first, second]) == "ba7816bf8f01+248d6a61d206"
    assert identity([first]) == "ba7816bf8f01"
