"""Where a model looks: the change of its log-odds when a part of a patch is covered.

References:
    Zeiler MD, Fergus R (2014), "Visualizing and Understanding Convolutional Networks", ECCV: occlusion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from data_prep.arrays import DoubleArray, FloatArray, IntArray
from search.explaining.blocks import block_edges
from search.explaining.changed import Cover, covered
from search.explaining.effort import Effort
from search.explaining.held_out import HeldOut, pieces


@dataclass(frozen=True, eq=False)
class Occlusion:
    """What each part of a patch adds to the log-odds of each of K labels, of n biopsies.

    An effect is the log-odds of the biopsy as it is, less those with the part covered: above 0 it speaks for
    the label. It is NaN in a sequence that the biopsy lacks.

    Attributes:
        row: The biopsies' rows in the study's dataset, shape (n,).
        fold: Which each was held out in, shape (n,).
        participant: An index per participant, shape (n,).
        logit: Of the biopsies as they are, shape (n, K).
        voxel_mm: Edges of their patches' voxels along the two axes, shape (n, 2).
        edges: Where the B blocks begin along an axis and the last one ends, in voxels; shape (B + 1,).
        blocks: Of each block in all sequences at once, shape (n, K, B, B); the first axis of blocks runs
            left to right, the second back to front.
        whole: Of each sequence, the whole patch covered in it alone; shape (n, K, C).
        cells: Of each block in each sequence alone, shape (n, K, C, B, B); None where that was not asked.
    """

    row: IntArray
    fold: IntArray
    participant: IntArray
    logit: FloatArray
    voxel_mm: FloatArray
    edges: IntArray
    blocks: FloatArray
    whole: FloatArray
    cells: FloatArray | None


def occlude(
    parts: Sequence[HeldOut], effort: Effort, step: Callable[[int], None] = lambda _: None
) -> Occlusion:
    """Cover every part of every held-out biopsy.

    Args:
        parts: The folds.
        effort: How finely.
        step: Called with the number of changed copies that are done.
    """
    patches = parts[0].patches
    edges, sequences = block_edges(patches.radius, effort.blocks), len(patches.sequences)
    covers = _covers(edges, sequences, effort.each)
    told = [_effects(part, covers, step) for part in parts]
    effects = np.concatenate([effect for _, effect in told])
    n, labels, count = len(effects), effects.shape[1], len(edges) - 1
    ends = np.cumsum([sequences, count**2])
    whole, blocks, cells = np.split(effects, ends, axis=2)
    present = np.concatenate([part.patches.present for part in parts])[:, None, :]
    cells = cells.reshape(n, labels, sequences * effort.each, count, count)
    return Occlusion(
        row=np.concatenate([part.rows for part in parts]),
        fold=np.repeat([part.fold for part in parts], [len(part) for part in parts]).astype(np.int64),
        participant=np.concatenate([part.participant for part in parts]),
        logit=_single(np.concatenate([base for base, _ in told])),
        voxel_mm=_single(np.concatenate([part.patches.voxel_mm for part in parts])),
        edges=edges,
        blocks=_single(blocks.reshape(n, labels, count, count)),
        whole=_single(np.where(present, whole, np.nan)),
        cells=_single(np.where(present[..., None, None], cells, np.nan)) if effort.each else None,
    )


def _covers(edges: IntArray, sequences: int, each: bool) -> list[Cover]:
    """Each sequence whole; each block in all sequences; where asked for, each block in each sequence."""
    spans = [slice(int(low), int(high)) for low, high in pairwise(edges)]
    blocks = [(first, second) for first in spans for second in spans]
    covers = [Cover(sequence) for sequence in range(sequences)] + [Cover(None, block) for block in blocks]
    if each:
        covers += [Cover(sequence, block) for sequence in range(sequences) for block in blocks]
    return covers


def _effects(
    part: HeldOut, covers: Sequence[Cover], step: Callable[[int], None]
) -> tuple[DoubleArray, DoubleArray]:
    """Log-odds of the biopsies as they are, shape (m, K), and what each cover takes away, (m, K, covers)."""
    base = part.logits(part.patches)[0]
    found = []
    for piece in pieces(len(covers), part.at_once()):
        after = part.logits(covered(part.patches, covers[piece], part.neutral))
        found.append(base - after)
        step(len(after) * len(part))
    return base, np.moveaxis(np.concatenate(found), 0, 2)


def _single(values: DoubleArray) -> FloatArray:
    return np.asarray(values, dtype=np.float32)
