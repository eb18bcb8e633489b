"""The whole audit of one study."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import optuna

from search.audit.canaries import check_canaries
from search.audit.conduct import check_evaluated, check_looks, check_pretraining, check_size
from search.audit.confounders import check_confounders
from search.audit.duplicates import check_biopsies, check_scans
from search.audit.expression import check_expression
from search.audit.identity_probe import check_labels, check_probe, check_within, labelled
from search.audit.labels import check_cut, check_policy
from search.audit.looks import protocol_hash
from search.audit.participants import check_participants
from search.audit.record import Audit, Check
from search.audit.refitting import check_training
from search.audit.scans import read_scans
from search.audit.subject import Subject
from search.audit.voxels import check_voxels
from search.home import Home
from search.recorded import material_of
from search.study_file import Study
from search.versions import software_versions

Progress = Callable[[int, int], None]
Steps = Iterator[list[Check]]

AFTER = 7  # steps after the images were read
SHARE = 4  # what a step weighs against one image


def run_audit(opened: optuna.Study, study: Study, home: Home, progress: Progress) -> Audit:
    """Look for every leak of the project's table; nothing of the study is changed.

    Args:
        opened: What Optuna has of it.
        study: Its settings.
        home: Where it is.
        progress: Called with steps done and in all; an image is a step.

    Raises:
        InputError: The cohort is not the recorded one, or cannot be read.
        StudyStoppedError: The storage is gone.
    """
    started = time.monotonic()
    material = material_of(study, opened, home)
    subject = Subject(opened, study, home, material)
    checks = [check for made in _steps(subject, progress) for check in made]
    folder = home.study(study.name)
    return Audit(
        study=study.name,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - started, 1),
        hashes={
            "protocol": protocol_hash(folder),
            "patches": material.patches.hash,
            "labels": material.labels_hash,
            "folds": material.folds.hash,
        },
        versions=software_versions(),
        checks=tuple(checks),
    )


def _steps(subject: Subject, progress: Progress) -> Steps:
    patches, expression = subject.material.patches, subject.material.source.expression
    total = 0

    def images(done: int, images: int) -> None:
        nonlocal total
        total = images + AFTER * SHARE
        progress(done, total)

    source, reference = subject.material.source, patches.request.resample_to
    scans = read_scans(source, patches.sequences, patches.biopsy_id, images, reference)
    work: tuple[Callable[[], list[Check]], ...] = (
        lambda: [check_participants(subject), check_voxels(subject, scans)],
        lambda: [*check_scans(scans.scans), check_biopsies(patches), check_expression(patches, expression)],
        lambda: [check_policy(subject), check_cut(subject)],
        lambda: check_training(subject),
        lambda: [check_evaluated(subject), *check_confounders(subject)],
        lambda: [check_labels(data), check_probe(data), check_within(subject), check_size(subject)],
        lambda: [check_pretraining(subject), check_looks(subject), *check_canaries(scans, data)],
    )
    data = labelled(subject)
    for number, step in enumerate(work, start=1):
        yield step()
        progress(total - (AFTER - number) * SHARE, total)
