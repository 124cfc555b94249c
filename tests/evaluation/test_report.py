import pytest

from lorair_cli.evaluation import report
from lorair_cli.evaluation.journal import Record
from lorair_cli.evaluation.published import get_table
from lorair_cli.evaluation.registry import load_registry

REGISTRY = load_registry()


def records(*values, protocol="histoformer-y", recognised="snow", names=None):
    return [
        Record(
            str(i),
            "",
            names[i] if names else str(i),
            "",
            {f"psnr@{protocol}": 20.0, f"ssim@{protocol}": 0.5},
            {f"psnr@{protocol}": value, f"ssim@{protocol}": value / 100},
            recognised,
        )
        for i, value in enumerate(values)
    ]


def rows(name, setting, *values, problems=(), **others):
    return report.benchmark_rows(REGISTRY.find(name), setting, records(*values, **others), problems, ("snow",))


def test_ours_beside_the_papers():
    psnr, ssim, accuracy = rows("snow100k-s", "I", 38, 40)
    assert (psnr.ours, psnr.before, psnr.paper, psnr.best, psnr.method) == (39, 20, 37.89, 37.41, "Histoformer")
    assert psnr.gap == pytest.approx(1.11) and psnr.better and psnr.remark == "" and psnr.pictures == 2
    assert ssim.gap == pytest.approx(0.39 - 0.9683) and ssim.better is False
    assert accuracy.metric == "accuracy" and accuracy.ours == 100 and accuracy.protocol == ""


def test_a_partial_set_is_never_called_the_papers():
    row = rows("snow100k-s", "I", 38, problems=("1 of 16611 pictures",))[0]
    assert row.paper == 37.89 and row.gap is None and row.better is None and not row.complete
    assert row.remark == "not the paper's mean: 1 of 16611 pictures"


def test_numbers_of_a_model_for_another_setting_are_called_so():
    first, _, accuracy = report.beside_another_model(rows("snow100k-s", "I", 38), "I")
    assert first.remark == "the paper's is its model for Setting I" and first.gap is not None
    assert accuracy.remark == ""  # the paper prints none


def test_inferred_protocols_and_second_protocols():
    first = rows("snow100k-s", "IV", 38, protocol="diffuir-y")[0]
    assert first.paper is None  # the paper prints only the mean of two sets
    first = rows("gopro", "IV", 30, protocol="diffuir-y")[0]
    assert first.paper == 30.09 and first.remark == "protocol inferred"
    second = rows("gopro", "IV", 30, protocol="matlab-rgb")[0]
    assert second.paper is None and second.gap is None


def test_weatherstream_frames_and_scenes():
    frames, scenes = rows("weatherstream-snow", "II", 10, 10, 40, protocol="ldr-rgb", names=["1/a", "1/b", "2/a"])[:2]
    assert frames.ours == 20 and scenes.ours == 25 and scenes.remark.startswith("mean of 2 scenes")
    assert scenes.gap == pytest.approx(25 - 23.31)


def test_group_means_count_each_set_once():
    group = REGISTRY.find("snow100k-2sets")
    measured = {
        "snow100k-s": rows("snow100k-s", "IV", 30, 32, 34, protocol="diffuir-y"),
        "snow100k-l": rows("snow100k-l", "IV", 40, protocol="diffuir-y"),
    }
    mean = report.group_rows(group, measured, "IV")[0]
    assert mean.ours == 36 and mean.pictures == 4 and mean.paper == 34.16 and mean.remark == "protocol inferred"
    measured["snow100k-l"] = rows("snow100k-l", "IV", 40, protocol="diffuir-y", problems=("1 of 2",))
    mean = report.group_rows(group, measured, "IV")[0]
    assert mean.ours == 36 and mean.gap is None and mean.remark == "not the paper's mean: snow100k-l incomplete"
    del measured["snow100k-l"]
    mean = report.group_rows(group, measured, "IV")[0]
    assert mean.ours is None and "snow100k-l missing" in mean.remark


@pytest.mark.parametrize("number", range(1, 11))
def test_every_table_prints_with_nothing_measured(number):
    table = get_table(number)
    lines = [report.cells(row) for row in report.table_rows(table, ())]
    assert len(lines) == len(table.cells)
    for line, cell in zip(lines, table.cells, strict=True):
        assert "not measured" in line[-1] and float(line[6]) == cell.paper and line[5] == ""


def test_a_measured_cell_in_its_table_and_not_in_the_ablations():
    measured = rows("raindrop-a", "I", 33)
    first = {(r.benchmark, r.metric): r for r in report.table_rows(get_table(1), measured)}
    assert first["raindrop-a", "psnr"].ours == 33 and first["snow100k-l", "psnr"].ours is None
    tenth = [
        r for r in report.table_rows(get_table(10), measured) if r.benchmark == "raindrop-a" and r.metric == "psnr"
    ]
    assert [r.ours for r in tenth] == [33, None, None, None] and "no modulator" in tenth[1].remark


def test_networks_and_the_unknown_fid_are_named():
    rng = [Record("k", "", "a", "", {"lpips-alex": 0.5}, {"lpips-alex": 0.25, "psnr@daclip-rgb": 30.0}, "blur")]
    made = report.benchmark_rows(
        REGISTRY.find("daclip-rainy"),
        "V",
        rng,
        (),
        (),
        {"lpips-alex": "AlexNet 0.1"},
        (12.0, "Inception, not comparable"),
    )
    by_metric = {row.metric: row for row in made}
    assert by_metric["lpips-alex"].network == "AlexNet 0.1" and by_metric["lpips-alex"].protocol == "daclip-rgb"
    assert report.cells(by_metric["fid"])[-1].endswith("not comparable") and by_metric["fid"].gap is None


def test_lpips_stands_beside_the_papers_only_with_the_protocols_network():
    scores = {"lpips-alex": 0.1, "lpips-vgg": 0.2, "lpips-vgg-shifted": 0.25}
    made = report.benchmark_rows(REGISTRY.find("toled"), "IV", [Record("k", "", "a", "", scores, scores)], ())
    assert {row.metric: row.paper for row in made} == {
        "lpips-alex": None,
        "lpips-vgg": None,
        "lpips-vgg-shifted": 0.279,
    }
    cell = next(r for r in report.table_rows(get_table(6), made) if (r.benchmark, r.metric[:5]) == ("toled", "lpips"))
    assert cell.ours == 0.25


def test_the_mean_of_ten_tasks_has_lpips_and_an_fid_that_is_not_compared():
    group = REGISTRY.find("daclip-10tasks")
    scores, measured = {"lpips-alex": 0.1}, {}
    for member in group.members:
        found = [Record("k", "", "a", "", scores, scores)]
        measured[member] = report.benchmark_rows(
            REGISTRY.find(member), "V", found, (), (), {"lpips-alex": "A"}, (3.0, "F")
        )
    lpips, fid = report.group_rows(group, measured, "V")
    assert lpips.paper == 0.118 and lpips.gap == pytest.approx(-0.018) and lpips.network == "A" and lpips.better
    assert fid.ours == 3 and fid.paper == 34.26 and fid.gap is None


def test_no_reference_metrics_stand_beside_the_papers_as_inferred():
    found = [Record("k", "", "a", "", {"loe": 0.0}, {"loe": 50.0}, "rain")]
    row = report.benchmark_rows(REGISTRY.find("real-rain"), "IV", found, ())[0]
    assert row.paper == 67.53 and row.better and "protocol inferred" in row.remark and row.protocol == "no-reference"


def test_forms_of_a_table():
    header, lines = ("a", "b"), [["1", "x|y"], ["long one", "2,3"]]
    assert report.as_text(header, lines).splitlines()[2] == "long one  2,3"
    assert report.as_markdown(header, lines).splitlines()[2] == "| 1 | x\\|y |"
    assert report.as_csv(header, lines).splitlines()[2] == 'long one,"2,3"'


def test_the_list_names_every_benchmark_and_group():
    header, lines = report.listing(REGISTRY)
    assert {line[0] for line in lines} == {e.name for e in (*REGISTRY.benchmark, *REGISTRY.group)}
    assert all(len(line) == len(header) for line in lines)
