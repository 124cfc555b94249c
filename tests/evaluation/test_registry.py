import pytest

from lorair_cli.errors import UsageError
from lorair_cli.evaluation.campaign import select
from lorair_cli.evaluation.published import find_cell, get_table, published_tables
from lorair_cli.evaluation.registry import Group, Registry, load_registry, paper_setting

REGISTRY = load_registry()


@pytest.mark.parametrize(
    "name, expected",
    [
        ("Snow100K-L", ["snow100k-l"]),
        ("snow100k_s", ["snow100k-s"]),
        ("RAIN100L", ["rain100l-promptir"]),
        ("derain", ["derain-rain100h", "derain-rain100l", "derain-test100", "derain-test1200", "derain-test2800"]),
        ("Snow100K-2sets", ["snow100k-s", "snow100k-l"]),
        ("HIDE+RealBlur", ["hide", "realblur-r", "realblur-j"]),
        ("BSD68", ["bsd68-15", "bsd68-25", "bsd68-50"]),
        ("lol", ["lol-eval15"]),
    ],
)
def test_names_and_aliases(name, expected):
    assert [b.name for b in REGISTRY.members(name)] == expected


@pytest.mark.parametrize(("setting", "expected"), [("III", "rain100l-promptir"), ("IV", "derain-rain100l")])
def test_an_alias_means_the_benchmark_of_the_setting(setting, expected):
    assert REGISTRY.find("Rain100L", setting).name == expected


@pytest.mark.parametrize(
    "names",
    [
        [("a", "I", ("x",)), ("b", "I", ("x",))],
        [("a", "I", ("b",)), ("b", "II", ())],
        [("a", "I", ()), ("A", "II", ())],
    ],
)
def test_names_that_could_mean_two_things_are_refused(names):
    groups = tuple(Group(name, setting, (), aliases) for name, setting, aliases in names)
    with pytest.raises(ValueError, match="used twice"):
        Registry({}, (), groups)


def test_did_you_mean():
    with pytest.raises(UsageError, match=r"did you mean .*snow100k-l"):
        REGISTRY.find("snow100kl")
    with pytest.raises(UsageError, match="no benchmark 'zzz'"):
        REGISTRY.find("zzz")


def test_protocols_by_setting():
    snow = REGISTRY.find("snow100k-s")
    assert [p.name for p in snow.protocols_for("I")] == ["histoformer-y"]
    assert snow.protocols_for("IV")[0].name == "diffuir-y" and snow.setting_for("V") == "I"
    # Without official code, a luma and a colour number for every set of Setting IV that has ground truth.
    for benchmark in REGISTRY.of_setting("IV"):
        names = [p.name for p in benchmark.protocols_for("IV")]
        assert names in (["no-reference"], ["diffuir-udc"]) or len(names) >= 2


@pytest.mark.parametrize("change", ["twice", "lost member", "lost source"])
def test_a_registry_that_contradicts_itself(change):
    benchmark, groups, sources = REGISTRY.benchmark, REGISTRY.group, REGISTRY.sources
    if change == "twice":
        benchmark = (*benchmark, benchmark[0])
    elif change == "lost member":
        groups = (*groups, Group("more", "I", ("nothing",)))
    else:
        sources = {}
    with pytest.raises(ValueError, match=r"twice|no benchmarks|not listed"):
        Registry(sources, benchmark, groups)


def test_every_published_cell_belongs_to_something():
    known = {e.name for e in (*REGISTRY.benchmark, *REGISTRY.group)} | {"router"}
    assert [t.number for t in published_tables()] == list(range(1, 11))
    assert {c.benchmark for t in published_tables() for c in t.cells} <= known
    for table in published_tables()[:9]:
        for cell in table.cells:
            assert cell.best is not None and cell.method
            if cell.benchmark != "router":
                assert all(table.setting in b.protocols for b in REGISTRY.members(cell.benchmark))


def test_printed_means_are_the_means_of_printed_numbers():
    """The paper's own averages, which also guards the transcription: tables 2, 3."""
    for number, group in ((2, "setting3-mean"), (3, "weatherstream")):
        cells = {c.benchmark: c.paper for c in get_table(number).cells if c.metric == "psnr"}
        members = [cells[b.name] for b in REGISTRY.members(group)]
        assert sum(members) / len(members) == pytest.approx(cells[group], abs=0.006)


def test_table_10_repeats_table_1():
    for benchmark in ("snow100k-l", "outdoor-rain-test1", "raindrop-a"):
        full = [c.paper for c in get_table(10).cells if c.benchmark == benchmark and not c.variant]
        printed = [find_cell(benchmark, metric, "I").paper for metric in ("psnr", "ssim")]
        assert full == pytest.approx(printed, abs=0.001)


def test_settings_and_tables_select_their_benchmarks():
    assert [paper_setting(n) for n in ("4task", "3task-real", "3task", "5task", "10task")] == [
        "I",
        "II",
        "III",
        "IV",
        "V",
    ]
    first = select([], None, 1)
    assert first.weights_setting == "4task" and {b.name for b in first.benchmarks} == {
        "snow100k-s",
        "snow100k-l",
        "outdoor-rain-test1",
        "raindrop-a",
    }
    fourth = select([], "5task", None)
    assert fourth.setting == "IV" and "derain-5sets" in {g.name for g in fourth.groups}
    assert select(["builtin"], None, None).weights_setting == "10task"
    assert [b.name for b in select(["Rain100L"], "5task", None).benchmarks] == ["derain-rain100l"]
    assert select(["Snow100K-2sets"], None, None).setting == "IV" and select(["lol"], None, None).setting == "V"
    assert select([], None, 9).weights_setting == "10task" and select([], None, 9).setting == "mixed"
    for arguments in (([], None, None), (["lol"], None, 4), ([], None, 11)):
        with pytest.raises(UsageError):
            select(*arguments)


def test_no_place_hides_behind_a_folder_that_holds_it():
    for benchmark in REGISTRY.benchmark:
        for places in (benchmark.layout.input, benchmark.layout.target):
            for index, place in enumerate(places):
                hiding = [before for before in places[:index] if place.startswith(f"{before}/")]
                assert not hiding or "**" in benchmark.layout.files, (benchmark.name, place)
