"""What was planted in a phantom, and what the best reader of its patches made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from data_prep.arrays import DoubleArray
from data_prep.phantom.agreement import agreements
from data_prep.phantom.answers import observed_auc
from data_prep.phantom.ceilings import ceiling, planted
from data_prep.phantom.plan import Plan
from data_prep.phantom.spec import SEQUENCES, TPM_CUT


def answers(plan: Plan, outcomes: Sequence[tuple[DoubleArray, DoubleArray]]) -> dict[str, Any]:
    """The answers to a phantom as a document.

    Args:
        plan: The plan, with the masks of what is missing.
        outcomes: Ideal probits and expression g of each participant's biopsies.
    """
    spec = plan.spec
    probits, g = (np.concatenate(parts) for parts in zip(*outcomes, strict=True))
    return {
        "spec": asdict(spec),
        "model": asdict(spec.model),
        **planted(plan),
        "spacing_mm": spec.spacing,
        "threshold_tpm": TPM_CUT,
        "missing_files": int((~plan.present).sum()),
        "positives": int((g > 0).sum()),
        **ceiling(plan),
        "auc_realised": observed_auc(probits, g),
        "scanners": _scanners(plan),
        **(_agreement(plan) if spec.repeats else {}),
    }


def _scanners(plan: Plan) -> dict[str, Any]:
    """Each scanner's share of the participants at the first session, and what it does not measure."""
    return {
        scanner.name: {
            "share": round(float((plan.scanner[:, 0] == index).mean()), 9),
            "lacks": [SEQUENCES[sequence] for sequence in scanner.lacks],
        }
        for index, scanner in enumerate(plan.scanners)
    }


def _agreement(plan: Plan) -> dict[str, float]:
    """Test-retest ICC of the ideal score where no sequence is missing; of one field's if there are two."""
    found = agreements(plan)
    return {
        "icc_same_scanner": round(float(np.mean([one.same for one in found])), 9),
        "icc_new_scanner": round(float(np.mean([one.new for one in found])), 9),
    }
