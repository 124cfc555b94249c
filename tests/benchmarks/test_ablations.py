"""The short comparison trains each variant as it says, and reads the right figures from what training wrote."""

from functools import partial

import ablations
import pytest
import skimage.io
from accelerate.state import AcceleratorState
from skimage.data import astronaut

from lorair_cli.data.clean import CleanPhotos
from lorair_cli.training.recipe import STAGES


@pytest.fixture(autouse=True)
def _no_accelerator_is_left():
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def test_every_variant_gets_a_row_of_figures(tmp_path, recipe_file, monkeypatch, capsys):
    skimage.io.imsave(tmp_path / "photo.png", astronaut()[:80, :80])
    photos = CleanPhotos.find([tmp_path])
    tiny = partial(ablations.load_recipe, file=recipe_file)
    recipes = []

    def remembered(scale, changes=()):
        recipes.append(tiny(scale, changes=changes))
        return recipes[-1]

    monkeypatch.setattr(ablations, "load_recipe", remembered)
    monkeypatch.setattr(ablations, "VARIANTS", {"whole": [], "no experts": ["experts=false", "finetune.trains=all"]})
    monkeypatch.setattr(ablations, "learnt", partial(ablations.learnt, workers=0))
    ablations.compare(photos, photos, 2, ["finetune.learning_rate=1e-3"])
    assert [recipe.experts for recipe in recipes] == [True, False]
    assert all(getattr(recipe, stage).steps == 2 for recipe in recipes for stage in STAGES)
    assert all(recipe.finetune.learning_rate == 1e-3 for recipe in recipes)
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[3:]]
    assert [row[0] for row in rows] == ["whole", "no experts"]
    for row in rows:
        assert 0 <= float(row[1].rstrip("%")) <= 100
        assert all(0 < float(decibels) < 60 for decibels in row[2:])
    assert rows[0][1:3] == rows[1][1:3]  # the same seed: the same router and stage 1 until experts part them
    assert rows[0][3] != pytest.approx(rows[1][3])
