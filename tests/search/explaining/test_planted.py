"""Where weights were planted in the sequences, what is found of them is ranked as these are.

The cohort is the gaussian phantom's of SCIENCE, section 4, drawn in the patches alone.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import spearmanr

from data_prep.arrays import DoubleArray
from data_prep.features.simple import roi_means
from data_prep.folds import make_folds
from data_prep.patch_set import PatchRequest, PatchSet
from data_prep.phantom.spec import SEQUENCES, PhantomSpec
from data_prep.phantom.weights import signal_weights
from models.shallow import fit_baseline
from models.shallow_fit import FittedBaseline
from models.spec import BaselineSpec
from search.explaining.averages import average
from search.explaining.changed import neutral_values
from search.explaining.effort import Effort
from search.explaining.held_out import HeldOut, Speaker
from search.explaining.occlusion import occlude
from search.explaining.permutation import permute

RADIUS, PEOPLE, EACH = 3, 75, 4
LENGTH, TAU2, OFFSET = 6.0, 0.3, 0.25
WEIGHTS = signal_weights(PhantomSpec(signal="easy")).sum(axis=1)


def cohort(seed: int) -> tuple[PatchSet, DoubleArray]:
    """Patches of `w_j z + eta_j + o_pj`, and z where the biopsy was taken."""
    rng, edge, count = np.random.default_rng(seed), 2 * RADIUS + 1, PEOPLE * EACH
    places = np.stack(np.meshgrid(*[np.arange(edge)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    apart = ((places[:, None] - places) ** 2).sum(axis=-1)
    field = np.exp(-apart / (2 * LENGTH**2)) + 1e-9 * np.eye(len(places))
    person = np.repeat(rng.normal(0, TAU2**0.5, PEOPLE), EACH)[:, None]
    z = person + (1 - TAU2) ** 0.5 * rng.normal(size=(count, len(places))) @ np.linalg.cholesky(field).T
    offset = np.repeat(rng.normal(0, OFFSET**0.5, (PEOPLE, len(SEQUENCES))), EACH, axis=0)
    noise = rng.normal(size=(count, len(places), len(SEQUENCES)))
    raw = WEIGHTS * z[..., None] + noise + offset[:, None]
    shape = (count, len(SEQUENCES))
    patches = PatchSet(
        raw=raw.reshape(count, edge, edge, -1).astype(np.float32),
        padding=np.zeros((count, edge, edge, 1), dtype=bool),
        present=np.ones(shape, dtype=bool),
        mean=np.zeros(shape, dtype=np.float32),
        std=np.ones(shape, dtype=np.float32),
        landmarks=np.zeros((*shape, 11), dtype=np.float32),
        voxel_mm=np.ones((count, 2)),
        biopsy_id=tuple(f"b{n}" for n in range(count)),
        participant_id=tuple(f"p{n // EACH}" for n in range(count)),
        request=PatchRequest(SEQUENCES, RADIUS),
    )
    return patches, z[:, len(places) // 2]


def speaker(model: FittedBaseline) -> Speaker:
    return lambda shown: model.predict(roi_means(shown.patches, RADIUS).values)[:, None]


def worth(seed: int) -> tuple[DoubleArray, DoubleArray]:
    """Loss of AUC and mean size of the change of each sequence, of logistic models of means."""
    patches, z = cohort(seed)
    label = (z > 0).astype(np.int64)
    people = np.arange(len(patches)) // EACH
    parts = []
    for split in make_folds(patches.biopsy_id, patches.participant_id, label, 3, 1, 0).splits():
        means = roi_means(patches, RADIUS).values[split.train]
        model = fit_baseline(BaselineSpec("logistic"), means, label[split.train], people[split.train], 0)
        held_out, labels = patches.take(split.test), label[split.test][:, None]
        neutral = neutral_values(held_out, held_out)
        own = (split.fold, split.test, people[split.test], labels, held_out, neutral, None)
        parts.append(HeldOut(*own, speaker(model)))
    (lost,) = permute(parts, 20)
    effects = occlude(parts, Effort(1, False, 2))
    size = average(effects.whole[:, 0].astype(np.float64), effects.participant).absolute
    return np.array([loss.drop for loss in lost.losses]), size


def test_planted_weights_rank_the_sequences() -> None:
    found = [worth(seed) for seed in range(3)]
    carries = WEIGHTS > 0
    for values in np.mean(found, axis=0):
        assert values[carries].mean() > 2.5 * values[~carries].mean()
        assert np.argmax(values) == np.argmax(WEIGHTS)
        assert spearmanr(WEIGHTS, values).statistic > 0.8
