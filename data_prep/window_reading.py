"""Reading the visits of one participant into memory: each file once, every problem noted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from data_prep.brain import BrainMask, read_brain
from data_prep.fallback import check_fallbacks
from data_prep.memory import memory_bytes
from data_prep.patch_set import PatchRequest
from data_prep.problems import InputError, Problems, nearest
from data_prep.records import Cohort
from data_prep.survey import Progress, Visit, damage, in_parallel, survey
from data_prep.volumes import Volume
from data_prep.window_volumes import VisitVolumes, bytes_of

# Of the machine's memory: beside the volumes there are a model and its batches.
_MEMORY_SHARE: Final = 0.5


@dataclass(eq=False)
class ReadVisit:
    """A visit whose files were read.

    Attributes:
        cohort: With the participant's biopsies alone, of which `visit` counts the rows.
        visit: As `survey` found it.
        volumes: Its sequences.
        mask: Of the brain as it is stored, if there is one.
        brain: The same on the visit's grid.
    """

    cohort: Cohort
    visit: Visit
    volumes: VisitVolumes
    mask: BrainMask | None = None
    brain: BrainMask | None = None


def read_visits(
    cohort: Cohort, participant: str, request: PatchRequest, progress: Progress | None
) -> list[ReadVisit]:
    """Read what patches of a participant are cut from; arguments and errors as of `windows.open_windows`."""
    problems = Problems()
    mine = _of_participant(cohort, participant, problems)
    named = [("sequences", name) for name in request.sequences]
    for where, name in [*named, ("resample_to", request.resample_to)]:
        if name is not None and name not in cohort.sequences:
            problems.add(where, f"unknown name '{name}'; {nearest(name, cohort.sequences)}.")
    problems.raise_any()
    found = survey(mine, request.sequences, problems, request.resample_to)
    _check_fallbacks(cohort, mine, request, found.visits, problems)
    _check_memory(request, found.visits, problems)
    visits = [ReadVisit(mine, visit, VisitVolumes(request, visit)) for visit in found.visits]
    for lines in _read(mine, visits, found.loose, progress):
        problems.extend(InputError(lines))
    problems.raise_any()
    return visits


def _of_participant(cohort: Cohort, participant: str, problems: Problems) -> Cohort:
    biopsies = tuple(biopsy for biopsy in cohort.biopsies if biopsy.participant_id == participant)
    if not biopsies:
        known = cohort.participants
        problems.add(
            "participant",
            f"one of the {len(known)} of the cohort is needed, but got '{participant}'; "
            f"{nearest(participant, known)}.",
        )
    return replace(cohort, biopsies=biopsies)


def _check_fallbacks(
    cohort: Cohort, mine: Cohort, request: PatchRequest, visits: Sequence[Visit], problems: Problems
) -> None:
    """As `extract_patches`, whether a visit without `resample_to` has voxels like those of the others."""
    reference = request.resample_to
    if reference is None or request.spacing_mm is not None:
        return
    if all(mine.images(mine.biopsies[visit.rows[0]], (reference,)) for visit in visits):
        return
    theirs = tuple(b for b in cohort.biopsies if b.participant_id != mine.biopsies[0].participant_id)
    every = replace(cohort, biopsies=(*mine.biopsies, *theirs))
    others = survey(replace(cohort, biopsies=theirs), request.sequences, Problems(), reference).visits
    # Only those who have the reference: what is wrong with the files of others is no business of this one.
    usual = [
        replace(visit, rows=visit.rows + len(mine.biopsies))
        for visit in others
        if cohort.images(theirs[visit.rows[0]], (reference,))
    ]
    check_fallbacks(every, request, [*visits, *usual], problems)


def _check_memory(request: PatchRequest, visits: Sequence[Visit], problems: Problems) -> None:
    needed = sum(bytes_of(request, visit) for visit in visits)
    limit = _MEMORY_SHARE * memory_bytes()
    if needed > limit:
        problems.add(
            "images",
            f"those of a participant may take {limit / 2**30:.1f} GiB, {_MEMORY_SHARE:.0%} of the memory, "
            f"but got {needed / 2**30:.1f} GiB.",
        )
        problems.raise_any()


def _read(
    mine: Cohort, visits: Sequence[ReadVisit], loose: Sequence[Volume], progress: Progress | None
) -> list[list[str]]:
    """Read all files; the lines of what is wrong with each, as `extract_patches` has them."""
    masked = [one for one in visits if one.visit.brain is not None]
    images = [(one, channel) for one in visits for channel in one.volumes.channels]
    count = len(masked) + len(images)
    lines = in_parallel(_read_mask, masked, _of_all(progress, 0, count))
    lines += in_parallel(lambda item: _read_image(*item), images, _of_all(progress, len(masked), count))
    return lines + in_parallel(lambda volume: damage(mine, volume), loose, None)


def _read_mask(one: ReadVisit) -> list[str]:
    volume = one.visit.brain
    if volume is None:
        return []
    try:
        one.mask = read_brain(volume)
        one.brain = one.mask.in_order_of(one.visit.grid)
    except InputError as error:
        return [f"{one.cohort.label_of(volume.path)}: {error}"]
    return []


def _read_image(one: ReadVisit, channel: int) -> list[str]:
    try:
        one.volumes.read(channel, one.mask)
    except InputError as error:
        return [f"{one.cohort.label_of(one.volumes.file(channel).path)}: {error}"]
    return []


def _of_all(progress: Progress | None, before: int, count: int) -> Progress | None:
    """A part of the work that tells how far the whole is."""
    return None if progress is None else lambda done, _: progress(before + done, count)
