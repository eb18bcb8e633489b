"""The questions of hypermodels, for programs that load no TensorFlow: JSON in, JSON out.

Run as `python -P -m models.discovery`. In: {"shape": [height, width, channels], "hypermodels": {name:
{"source", "params", "arguments"}}}. Out, as the last line: {"questions": {name: [{"name", "hyperparameter",
"domain", "conditions"}]}}, or {"error": one line}.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from models.errors import ModelError
from models.spec import CustomSpec


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The reply to one request, both as plain data."""
    from models.hypermodel import discover

    height, width, channels = request["shape"]
    found: dict[str, Any] = {}
    try:
        for name, own in request["hypermodels"].items():
            params, arguments = (tuple(sorted(own[key].items())) for key in ("params", "arguments"))
            spec = CustomSpec("hypermodel", own["source"], params, arguments)
            questions = discover(spec, (height, width, channels))
            found[name] = [
                {
                    "name": question.name,
                    "hyperparameter": question.hyperparameter,
                    "domain": question.domain,
                    "conditions": [[parent, list(values)] for parent, values in question.conditions],
                }
                for question in questions
            ]
    except ModelError as error:
        return {"error": " ".join(str(error).split())}
    return {"questions": found}


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(answer(json.load(sys.stdin))) + "\n")
