"""What was planted in a phantom, and what the best reader of its patches made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from data_prep.arrays import DoubleArray
from data_prep.phantom.answers import observed_auc
from data_prep.phantom.ceilings import ceiling, null_ceiling, planted
from data_prep.phantom.plan import Plan
from data_prep.phantom.spec import TPM_CUT


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
        **(null_ceiling() if spec.signal == "none" else ceiling(plan)),
        "auc_realised": observed_auc(probits, g),
    }
