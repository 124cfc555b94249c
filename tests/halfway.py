"""Pictures with noise, and something that goes half of the way to the truth, to be measured."""

import skimage.data

from lorair_cli.evaluation.meter import Meter
from lorair_cli.evaluation.protocols import get_protocol
from lorair_cli.evaluation.subjects import Restored, Subject

PHOTO = skimage.data.chelsea()[:80, :100]


class Halfway:
    """Restores by going half of the way to the truth, and counts."""

    def __init__(self, weights="w"):
        self.calls = 0
        self.subject = Subject(self.restore, weights, "options", ("noise",))

    def restore(self, pair):
        self.calls += 1
        return Restored((pair.lq / 255 + PHOTO[: pair.lq.shape[0], : pair.lq.shape[1]] / 255) / 2, "noise", 0.1)


def meter(*metrics, protocol="rgb"):
    return Meter([get_protocol(protocol)], metrics or ("psnr", "ssim"))
