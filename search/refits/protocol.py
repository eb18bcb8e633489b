"""A hash of all that a result depends on, so that two results can be told to be of one protocol."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from search.material import Material
from search.study_file import Study


def protocol_hash(study: Study, material: Material, table: str, **choices: Any) -> str:
    """A hash over a study's settings, its data, a fold table's hash, and what a command was asked besides.

    The study's name, where its cohort lies, what is shown of it and how the search sampled do not count.
    """
    sections = {"label", "input", "validation", "training", "architectures", "space"}
    parts = {
        "settings": study.model_dump(mode="json", include=sections),
        "enqueued": study.search.model_dump(mode="json", include={"enqueue"}),
        "files": study.files_hash,
        "patches": material.patches.hash,
        "labels": material.labels_hash,
        "table": table,
        "choices": choices,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
