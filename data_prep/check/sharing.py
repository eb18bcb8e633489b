"""Images that the paths of several participants lead to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from data_prep.check.findings import Finding
from data_prep.check.subject import Subject
from data_prep.problems import named


def sharing_findings(subject: Subject) -> Iterator[Finding]:
    """A warning for each group of participants that share images; masks may be shared in a common space."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for label, people in owners(subject).items():
        if len(people) > 1:
            groups.setdefault(people, []).append(label)
    for people, labels in groups.items():
        more = f" So they do {named(labels[1:])}." if len(labels) > 1 else ""
        yield Finding(
            "warning",
            "file-shared",
            labels[0],
            f"participants must have images of their own, but {named(people)} share it.{more}",
            "Use {participant_id} in the path templates of cohort.toml, or merge the ids.",
            people[1],
            tuple(b.biopsy_id for b in subject.cohort.biopsies if b.participant_id in people),
        )


def owners(subject: Subject) -> Mapping[str, tuple[str, ...]]:
    """Whose paths lead to each image and repeat, by its label."""
    found: dict[str, dict[str, None]] = {}
    for visit in subject.visits:
        people = dict.fromkeys(biopsy.participant_id for biopsy in visit.biopsies)
        for file in (*visit.images.values(), *visit.repeats.values()):
            found.setdefault(file.label, {}).update(people)
    return {label: tuple(people) for label, people in found.items()}
