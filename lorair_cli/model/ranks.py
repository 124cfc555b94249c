"""Experts at another rank: with room to learn more, or the best that fits into less.

Most of what an expert of high rank has learnt lies in a few directions (of one for blur, trained at rank 32, 96 % of
the squares in rank 8), so that it can be trained at one rank and kept at another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from lorair_cli.model.experts import EXPERT_TENSORS

_A, _B = EXPERT_TENSORS


def at_rank(experts: Mapping[str, Tensor], had: int, rank: int) -> dict[str, Tensor]:
    """The same experts with matrices of another rank.

    Args:
        experts: pairs ``<convolution>.expert_a`` ``(n, had k, in k)`` and ``<convolution>.expert_b``
            ``(n, out/groups k, had k)``; what is not an expert's is left out.
        had: their rank r.
        rank: the one they shall have. What is more than ``had`` is zero. Of less, the singular values decide: no other
            experts of this rank have products B A that are nearer in squares (Eckart and Young, 1936).
    """
    changed: dict[str, Tensor] = {}
    for convolution, a, b in _pairs(experts):
        more = (rank - had) * (a.shape[1] // had)
        if more >= 0:
            a, b = F.pad(a, (0, 0, 0, more)), F.pad(b, (0, more))
        else:
            a, b = _nearest(a, b, a.shape[1] + more)
        changed |= {f"{convolution}.{_A}": a, f"{convolution}.{_B}": b}
    return changed


def with_room(experts: Mapping[str, Tensor], new: Mapping[str, Tensor], had: int, rank: int) -> dict[str, Tensor]:
    """:func:`at_rank` for a network that goes on learning: what they do not use yet is free to learn.

    That is what a higher rank adds, and all of an expert that has learnt nothing. Zeros alone would never learn:
    neither A nor B would have a gradient. As in a new expert A is random there and B zero, so that the product stays.

    Args:
        experts: as for :func:`at_rank`.
        new: a new network's, of that rank and as many experts.
    """
    fitted = at_rank(experts, had, rank)
    for convolution, a, b in _pairs(fitted):
        unused = ~(a.any(2) | b.any(1))  # (n, rank k)
        a[unused] = new[f"{convolution}.{_A}"].to(a)[unused]
    return fitted


def _pairs(experts: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor, Tensor]]:
    for name, a in experts.items():
        convolution, _, leaf = name.rpartition(".")
        if leaf == _A:
            yield convolution, a, experts[f"{convolution}.{_B}"]


def _nearest(a: Tensor, b: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """``a`` of ``rows`` rows and ``b`` of as many columns, one as large as the other, whose product is nearest."""
    # B A = Q_b (R_b R_a^T) Q_a^T: the singular values of the small matrix in the middle are those of the product.
    q_a, r_a = torch.linalg.qr(a.double().transpose(1, 2))  # (n, in k, m), (n, m, had k)
    q_b, r_b = torch.linalg.qr(b.double())
    u, s, v = torch.linalg.svd(r_b @ r_a.transpose(1, 2), full_matrices=False)
    root = s.sqrt()
    near_a = (v * root[:, :, None])[:, :rows] @ q_a.transpose(1, 2)
    near_b = q_b @ (u * root[:, None])[:, :, :rows]
    short = rows - near_a.shape[1]  # a convolution may be smaller than the rank
    near_a, near_b = F.pad(near_a, (0, 0, 0, max(short, 0))), F.pad(near_b, (0, max(short, 0)))
    return near_a.to(a.dtype), near_b.to(b.dtype)
