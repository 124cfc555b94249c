import zipfile
from importlib.resources import files

import pytest

from lorair_cli.evaluation.sources import PARTS, own_sources, sources_hash


@pytest.fixture
def package(tmp_path):
    for part in (*PARTS, "cli"):
        (tmp_path / part / "deeper").mkdir(parents=True)
        for name in ("a.py", "deeper/b.py", "page.html", "a.pyc"):
            (tmp_path / part / name).write_text(f"{part} {name}")
    return tmp_path


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", ["a.py", "deeper/b.py", "new.py"])
def test_every_source_counts(part, name, package):
    before = sources_hash(package)
    assert before == sources_hash(package) and len(before) == 64
    (package / part / name).write_text("other")
    assert sources_hash(package) != before


@pytest.mark.parametrize("name", ["cli/a.py", "model/a.pyc", "evaluation/page.html"])
def test_what_decides_no_number_does_not(name, package):
    before = sources_hash(package)
    (package / name).write_text("other")
    assert sources_hash(package) == before


def test_the_name_of_a_source_counts(package):
    before = sources_hash(package)
    (package / "model" / "a.py").rename(package / "model" / "c.py")
    assert sources_hash(package) != before


def test_a_zipped_package_has_the_hash_of_the_folder(tmp_path):
    root = files("lorair_cli")
    with zipfile.ZipFile(tmp_path / "lorair.whl", "w") as wheel:
        for path in root.rglob("*.py"):
            wheel.write(path, f"lorair_cli/{path.relative_to(root)}")
    with zipfile.ZipFile(tmp_path / "lorair.whl") as wheel:
        assert sources_hash(zipfile.Path(wheel, "lorair_cli/")) == own_sources() == sources_hash(root)
