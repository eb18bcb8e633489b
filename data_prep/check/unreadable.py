"""Files that cannot be read to their end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from data_prep.check.findings import Finding
from data_prep.check.subject import File, Subject, Visited

_ADVICE: Final = {
    "empty": "Nothing was written there: export or copy it again, or remove it, and it counts as missing.",
    "truncated": "Its end is missing: copy it again and compare its size with the original's.",
    "damaged": "It was changed after it was written: copy it again from the original.",
    "forbidden": "It may not be read: ask its owner, or give yourself permission (chmod u+r).",
    "unsuitable": "Convert or compute one volume of grey values from it.",
    "unreadable": "Convert it to NIfTI again; a DICOM series becomes one by dcm2niix.",
}

_KINDS: Final[Mapping[str, str]] = {
    "three dimensions": "Take one volume of the series, or the map that was computed from it.",
    "RGB": "It is a picture in colour: export the grey values behind it.",
    "complex": "Export the magnitude (or the phase) as real numbers.",
    "affine": "Its header is damaged: convert it again, or copy sform and qform from an image of its grid.",
}
"""Advice by what the problem says, where that tells more than the fault."""


def file_findings(subject: Subject) -> Iterator[Finding]:
    """An error for each file that is empty, truncated, damaged, forbidden or no volume of real numbers."""
    told = set()
    for visited in subject.visits:
        for file in visited.files:
            if file.fault is not None and file.label not in told:
                told.add(file.label)
                yield _finding(visited, file, file.fault)


def _finding(visited: Visited, file: File, fault: str) -> Finding:
    what = f"{(file.problem or '').rstrip('.')}."
    known = _KINDS if fault in ("unsuitable", "unreadable") else {}
    advice = next((advice for word, advice in known.items() if word in what), _ADVICE[fault])
    return Finding("error", f"file-{fault}", file.label, what, advice, visited.participant, visited.ids)
