from dataclasses import replace
from pathlib import Path

import pytest

from lorair_cli.errors import UsageError
from lorair_cli.model.config import ClipEncoderConfig
from lorair_cli.training.recipe import STAGES
from lorair_cli.training.recipe_file import RECIPES, as_toml, differences, load_recipe, read_comments, read_recipe


def edited(tmp_path, recipe_file, old, new):
    text = recipe_file.read_text()
    assert old in text
    path = tmp_path / "own.toml"
    path.write_text(text.replace(old, new, 1))
    return path


def test_the_shipped_recipe_is_the_design():
    recipe = load_recipe("compact")
    assert recipe.network.stem == 2 and recipe.network.width == 48 and recipe.network.experts == 0
    assert recipe.network.prior_channels * 2 == recipe.encoder.features
    assert sum(recipe.stage(stage).share for stage in STAGES) == pytest.approx(1)
    assert recipe.finetune.trains == "experts" and recipe.top_k == 1


def test_every_shipped_recipe_loads():
    names = [path.stem for path in RECIPES.glob("*.toml")]
    assert "compact" in names
    for name in names:
        assert load_recipe(name).scale == name


@pytest.mark.parametrize("which", ["shipped", "tiny"])
def test_a_recipe_written_as_toml_reads_back_the_same(tmp_path, recipe, which):
    recipe = load_recipe("compact") if which == "shipped" else recipe
    sampling = replace(recipe.pretrain.sampling, ratios={"low-light": 1.5, "rain": 0.25})
    recipe = replace(recipe, pretrain=replace(recipe.pretrain, sampling=sampling, learning_rate=3e-5))
    path = tmp_path / "written.toml"
    path.write_text(as_toml(recipe), encoding="utf-8")
    assert read_recipe(path) == recipe


def test_differences_name_the_fields(recipe):
    other = replace(
        recipe, seed=9, network=replace(recipe.network, width=16), router=replace(recipe.router, betas=(0.9, 0.9))
    )
    assert sorted(differences(recipe, other)) == ["network.width", "router.betas", "seed"]
    assert differences(recipe, recipe) == []
    ratios = replace(recipe.router.sampling, ratios={"rain": 2.0})
    assert differences(recipe, replace(recipe, router=replace(recipe.router, sampling=ratios))) == [
        "router.sampling.ratios.rain"
    ]


def test_the_experts_that_learn_are_those_named_or_those_drawn(recipe):
    names = ("rain", "haze", "noise")
    sampling = replace(recipe.finetune.sampling, ratios={"rain": 0.0, "haze": 2.0})
    stage = replace(recipe.finetune, sampling=sampling)
    assert stage.learning(names) == (False, True, True)
    assert replace(stage, only=("rain", "snow")).learning(names) == (True, False, False)


def test_a_scale_without_a_recipe_is_one_line():
    with pytest.raises(UsageError, match="no recipe for scale 'huge'") as caught:
        load_recipe("huge")
    assert "compact" in (caught.value.hint or "")


def test_a_missing_file_is_named():
    with pytest.raises(UsageError, match=r"nowhere\.toml: no such recipe"):
        load_recipe("compact", Path("nowhere.toml"))


def test_a_recipe_of_another_scale_is_refused(tmp_path, recipe_file):
    file = edited(tmp_path, recipe_file, 'scale = "compact"', 'scale = "paper"')
    assert load_recipe("paper", file).scale == "paper"
    with pytest.raises(UsageError, match="scale paper, not compact"):
        load_recipe("compact", file)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("seed = 3", "seed = ", "not a valid recipe"),
        ("seed = 3", "sede = 3", "sede"),
        ("seed = 3", "seed = 3.5", "seed is 3.5"),
        ("seed = 3", f"seed = {2**63 - 1}0", "less than 2^63"),
        ("seed = 3", "seed = -1", "seed -1"),
        ("seed = 3", "top_k = 0", "top_k 0"),
        ('scale = "compact"', "", "scale is missing"),
        ('scale = "compact"', 'scale = "large"', "scale is 'large'"),
        ('precision = "no"', 'precision = "fp8"', "precision is 'fp8'"),
        ("width = 8\n", "width = 0\n", "width"),
        ("width = 8\n", "width = 8\nexperts = 3\n", "network.experts"),
        ("prior_channels = 8", "prior_channels = 12", "prior_channels is 12"),
        ('kind = "compact"', 'kind = "resnet"', "encoder.kind"),
        ('kind = "compact"', "", "encoder.kind"),
        ('kind = "compact"', "kind = [1]", "encoder.kind"),
        ("view = 32", "view = 33", "view 33"),
        ("[encoder]", "[encoders]", "encoder.kind"),
        ("[router]", "[routers]", "own.toml"),
        ("steps = 5", "steps = 0", "steps 0"),
        ("steps = 5", "", "router.steps is missing"),
        ("steps = 5", "steps = true", "router.steps"),
        ("photos = 3", "photos = 0", "photos 0"),
        ("share = 0.1", "share = 0", "share"),
        ("learning_rate = 1e-2", "learning_rate = nan", "learning_rate nan"),
        ("final_learning_rate = 1e-3", "final_learning_rate = -1.0", "final_learning_rate"),
        ("warmup = 2", "warmup = -1", "warmup"),
        ("warmup = 2", "betas = [0.9, 1.0]", "betas"),
        ("warmup = 2", "betas = [0.9]", "betas"),
        ("clip = 1.0", "clip = -1.0", "clip"),
        ("clip = 1.0", "ema = 1.0", "ema"),
        ("clip = 1.0", "accumulate = 0", "accumulate"),
        ("clip = 1.0", "compile = 1", "compile"),
        ("clip = 1.0", "loss_epsilon = 0.0", "loss_epsilon"),
        ('trains = "all"', 'trains = "nothing"', "trains"),
        ('trains = "all"', 'trains = "experts"', "router.trains"),
        ('trains = "experts"', 'trains = "head"', "finetune.trains"),
        ('trains = "experts"', 'trains = "experts"\nonly = ["fog"]', "only names 'fog'"),
        ('trains = "experts"', 'trains = "all"\nonly = ["haze"]', "only names experts"),
        ('trains = "all"', 'trains = "all"\nonly = "haze"', "router.only"),
        ("seed = 3", 'seed = 3\nuntouched_as = "fog"', "untouched_as 'fog'"),
        ("patches = 2", "patches = 0", "patches"),
        ("photo_sides = [36, 48]", "photo_sides = [48, 36]", "photo_sides"),
        ("local_views = 2\n", "local_views = 2\nratios = { fog = 1.0 }\n", "fog"),
    ],
)
def test_a_wrong_recipe_is_one_line_that_names_file_and_field(tmp_path, recipe_file, old, new, named):
    file = edited(tmp_path, recipe_file, old, new)
    with pytest.raises(UsageError) as caught:
        read_recipe(file)
    assert "own.toml" in caught.value.message and named in caught.value.message
    assert "\n" not in caught.value.message


def test_what_is_no_text_is_refused(tmp_path):
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"binary\.toml: not a valid recipe"):
        read_recipe(path)


def test_the_paper_recipe_is_the_papers_and_says_what_is_not(recipe_file):
    paper = load_recipe("paper")
    assert paper.router.photos_per_step(3) == 192 and paper.router.learning_rate == 2e-4 and not paper.learns_strength
    assert paper.pretrain.photos_per_step(3) == 64 and paper.pretrain.sampling.patch == 256
    assert (paper.network.width, paper.network.encoder_blocks) == (64, (1, 1, 1, 28))
    assert paper.encoder == ClipEncoderConfig() and paper.finetune.trains == "experts"
    comments = read_comments(RECIPES / "paper.toml")
    for field in ("top_k", "network.rank", "pretrain.steps", "finetune.learning_rate", "router.sampling.turned"):
        assert "not in the paper" in comments[field]
    assert "finetune.sampling.patch" not in comments and "router.learning_rate" not in comments


def test_comments_of_a_recipe_come_back_behind_their_fields(recipe):
    text = as_toml(recipe, {"network.width": "# narrow", "seed": "# any"})
    assert "width = 8 # narrow\n" in text and "seed = 3 # any\n" in text and text.count("#") == 2


def test_fields_can_be_set(recipe_file, recipe):
    changes = [
        "finetune.steps = 9",
        "precision=bf16",
        "router.betas=[0.5, 0.6]",
        "pretrain.sampling.ratios.low-light=2",
        "finetune.sampling.strengths.rain=[0.1, 0.6]",
        "finetune.sampling.veils.rain=0",
        "finetune.sampling.mists.rain=1",
        "finetune.sampling.drizzles.rain=0.3",
        "finetune.sampling.distances.haze=0.4",
        "finetune.sampling.plains.raindrop=0.75",
        "finetune.sampling.scales=[0.5, 2]",
    ]
    changes += ["encoder.features=32", "network.prior_channels=16"]  # neither fits without the other
    changed = load_recipe("compact", recipe_file, changes)
    assert changed.finetune.steps == 9 and changed.precision == "bf16" and changed.router.betas == (0.5, 0.6)
    assert changed.pretrain.sampling.ratios == {"low-light": 2} and changed.network.prior_channels == 16
    sampling = changed.finetune.sampling
    assert (
        sampling.strengths == {"rain": [0.1, 0.6]} and sampling.veils == {"rain": 0} and sampling.mists == {"rain": 1}
    )
    assert sampling.drizzles == {"rain": 0.3} and sampling.distances == {"haze": 0.4}
    assert sampling.plains == {"raindrop": 0.75} and sampling.scales == (0.5, 2)
    assert len(differences(recipe, changed)) == 13


@pytest.mark.parametrize(
    ("change", "said", "hint"),
    [
        ("finetune.stpes=9", "finetune.stpes: no recipe has such a field", "finetune.steps"),
        ("quux=1", "quux", "--print-recipe"),
        ("finetune=1", "finetune", "did you mean finetune"),
        ("finetune.steps", "expected key=value", "--set"),
        ("finetune.steps=", "expected key=value", "--set"),
        ("finetune.steps=many", "finetune.steps is 'many', expected int", None),
        ("finetune.steps=1.5", "finetune.steps is 1.5, expected int", None),
        ("network.experts=3", "network.experts", None),
        ("pretrain.sampling.ratios.fog=1", "fog", None),
        ("pretrain.sampling.ratios.blur.x=1", "no recipe has such a field", None),
        ("quux.sampling.ratios.rain=1", "quux", None),
        ("encoder.kind=clip", "encoder.", None),
    ],
)
def test_a_wrong_set_is_one_line_that_names_the_key(recipe_file, change, said, hint):
    with pytest.raises(UsageError) as caught:
        load_recipe("compact", recipe_file, [change])
    assert caught.value.message.startswith("--set") and said in caught.value.message
    assert "\n" not in caught.value.message and (hint is None or hint in (caught.value.hint or ""))
