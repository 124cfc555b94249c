from dataclasses import replace

import numpy as np

from lorair_cli.evaluation.subjects import restorer_subject
from lorair_cli.imaging.arrays import without_colour
from lorair_cli.imaging.photo import Photo
from lorair_cli.restoration.restorer import Restorer


def test_a_restorers_result_is_what_restoring_the_photo_gives(checkpoint, pairs):
    restorer = Restorer(checkpoint, device="cpu", precision="float32", tile=0)
    subject = restorer_subject(restorer, "abc")
    restored = subject.restore(pairs[0])
    direct = restorer.restore(Photo(pairs[0].lq))
    assert np.abs(restored.rgb * 255 - direct.photo.rgb).max() < 0.51
    assert len(np.unique(restored.rgb)) > 256  # finer than 8 bits
    best = max(direct.diagnosis.probabilities, key=direct.diagnosis.probabilities.get)
    assert restored.recognised == best and "global pooling" in subject.options
    twice = restorer_subject(restorer, "abc", passes=2)
    again = restorer.restore(direct.photo)
    assert np.abs(twice.restore(pairs[0]).rgb * 255 - again.photo.rgb).max() < 2 and twice.options != subject.options


def test_what_is_made_of_a_grey_photo_is_grey(checkpoint, pairs):
    restorer = Restorer(checkpoint, device="cpu", precision="float32", tile=0)
    grey = without_colour(pairs[0].lq)
    restored = restorer_subject(restorer, "abc").restore(replace(pairs[0], lq=grey, grey=True))
    direct = restorer.restore(Photo(grey, grey=True))
    assert np.abs(restored.rgb * 255 - direct.photo.rgb).max() < 1.01
    assert (restored.rgb == restored.rgb[..., :1]).all()


def test_settings_that_share_a_file_are_told_apart(checkpoint_of):
    options = {
        restorer_subject(Restorer(checkpoint_of(setting), device="cpu"), "w").options for setting in ("3task", "4task")
    }
    assert len(options) == 2 and any("3task" in text for text in options)
