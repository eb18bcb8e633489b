"""A model's facts and explanations made by hand, for what is written of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from data_prep.patch_set import PatchRequest
from models.calibration import Calibration
from search.deployment.ensemble import Ensemble, LabelEnsemble
from search.deployment.facts import LabelFacts, MemberEntry, ModelFacts, OutOfFold, TrainingFacts
from search.deployment.reference_facts import ReferenceFacts
from search.explaining.blocks import block_edges
from search.explaining.effort import WAYS, Chosen
from search.explaining.explanations import Explanations
from search.explaining.occlusion import Occlusion
from search.explaining.permutation import Loss, Permutation

SEQUENCES = ("FA", "T1", "T1Gd", "T2")


def make_reference(sequences: int = 4) -> ReferenceFacts:
    """Numbers of a training set that vary one by one."""
    each, both = (0.0,) * sequences, (1.0,) * (2 * sequences)
    return ReferenceFacts(
        known=(True,) * sequences,
        location=each,
        spread=(1.0,) * sequences,
        standard=((0.0,) * 11,) * sequences,
        mean=(0.5,) * (2 * sequences),
        deviation=both,
        covariance=tuple(map(tuple, np.eye(2 * sequences).tolist())),
        cut=2.0,
    )


def make_facts(**changes: Any) -> ModelFacts:
    """Two configurations, two seeds of the first, three folds."""
    line = Calibration(1.0, 0.0)
    ensemble = Ensemble((LabelEnsemble(((-1.0, 1.0),) * 2, line, (line,) * 2, 0.45),))
    final = [MemberEntry(f"members/{n}", n // 2, n, None, f"{n}f") for n in range(3)]
    folds = [MemberEntry(f"folds/{f}/{n}", n, 7, f, f"{f}{n}") for f in range(3) for n in range(2)]
    fields: dict[str, Any] = {
        "name": "cd3d",
        "version": 2,
        "created": "2026-02-03T04:05:06+00:00",
        "study": "cd3d-search",
        "study_id": "0f",
        "rule": "rank-average",
        "metric": "roc_auc",
        "trials": (4, 11),
        "configurations": (
            {"architecture": "small_cnn", "patch_radius": 8, "weights": "none"},
            {"architecture": "roi_means", "patch_radius": 5},
        ),
        "epochs": (12, None),
        "task": "classification",
        "labels": (
            LabelFacts(
                "CD3D",
                "CD3D above 1.03 (TPM); the cut was fixed beforehand",
                1.03,
                "TPM",
                0.45,
                OutOfFold(150, 70, 0.71, 0.21),
            ),
        ),
        "request": PatchRequest(SEQUENCES, 8),
        "needed": ("FA", "T2"),
        "missing": "mask",
        "voxel_mm": (0.5, 1.0),
        "members": (*final, *folds),
        "ensemble": ensemble,
        "fold_ensembles": (ensemble,) * 3,
        "fold_references": (make_reference(),) * 3,
        "participants": (),
        "training": TrainingFacts("glioma", 45, 150, 70, "aa", "bb", "cc", "dd"),
        "honest": {
            "estimate": 0.66,
            "ci95": [0.55, 0.77],
            "method": "participant-bootstrap BBC-CV",
            "claim": True,
            "reason": None,
            "selected_naive": 0.73,
        },
        "software": {"python": "3.11.9", "radsearch": "1.2"},
        "device": "CPU x2",
    }
    return ModelFacts(**(fields | changes))


def make_explanations(labels: int = 1, each: bool = True, count: int = 12, radius: int = 8) -> Explanations:
    """Effects that fall off around the biopsy, by weights of the sequences; nobody reads the last one."""
    rng, weights = np.random.default_rng(0), np.array([0.6, 0.4, -0.3, 0.0])
    edges = block_edges(radius, 5)
    away = np.abs(np.arange(len(edges) - 1) - (len(edges) - 2) // 2)
    bump = np.exp(-0.5 * (away[:, None] ** 2 + away**2))
    strength = rng.normal(0.3, 1.0, (count, labels, len(SEQUENCES)))
    strength[1, :, 1] = np.nan
    cells = strength[..., None, None] * weights[:, None, None] * bump
    losses = tuple(Loss(abs(float(w)) / 5, 0.004, 0.01 if w else 1.0) for w in weights)
    return Explanations(
        labels=("CD3D", "CD4", "CD8A")[:labels],
        sequences=SEQUENCES,
        chosen=Chosen(WAYS[0] if each else WAYS[3], 120.0, 300.0),
        permutation=(Permutation(0.71, losses),) * labels,
        occlusion=Occlusion(
            row=np.arange(count)[::-1].copy(),
            fold=np.arange(count) % 3,
            participant=np.arange(count) // 2,
            logit=rng.normal(size=(count, labels)).astype(np.float32),
            voxel_mm=np.full((count, 2), 0.5, dtype=np.float32),
            edges=edges,
            blocks=np.nansum(cells, axis=2).astype(np.float32),
            whole=cells.sum(axis=(3, 4)).astype(np.float32),
            cells=cells.astype(np.float32) if each else None,
        ),
    )
