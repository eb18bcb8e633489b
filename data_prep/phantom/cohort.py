"""A phantom from its spec, participant by participant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from data_prep.arrays import DoubleArray
from data_prep.phantom.head import rotation
from data_prep.phantom.hidden import Hidden, draw_hidden
from data_prep.phantom.plan import SESSIONS, Plan, make_plan
from data_prep.phantom.readers import ideal_probits
from data_prep.phantom.scan import Scan, visit
from data_prep.phantom.sites import Sites, draw_sites
from data_prep.phantom.spec import SEQUENCES, PhantomSpec
from data_prep.phantom.streams import stream
from data_prep.phantom.tables import GENES, Participant, write_tables
from data_prep.phantom.truth import answers
from data_prep.phantom.write import Folder, json_bytes, new_folder, quantise

_UNIT: Final = 100.0  # stored intensity of one unit of image noise
_STEP: Final = 0.015  # of that unit; its rounding error is below the white noise
_FIELD_STEP: Final = 0.001


def build(out: Path, spec: PhantomSpec, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Write a phantom cohort.

    Args:
        out: The folder to make; what is there already must be empty.
        spec: What to write.
        progress: Called with the participants done and their total.

    Returns:
        The truth, which is also in `truth/answers.json`.

    Raises:
        InputError: The folder is taken, or the sites do not fit into the tumours.
    """
    plan = make_plan(spec)
    with new_folder(out) as folder:
        people = []
        for index in range(spec.participants):
            people.append(_write_participant(folder, plan, index))
            if progress:
                progress(index + 1, spec.participants)
        write_tables(folder, plan, people)
        truth = answers(plan, [(person.probit, person.g) for person in people])
        truth["hashes"] = dict(sorted(folder.hashes.items()))
        folder.write("truth/answers.json", json_bytes(truth))
    return truth


def _write_participant(folder: Folder, plan: Plan, index: int) -> Participant:
    """Write a participant's images and masks; draw sites and expression."""
    name, hidden, affine = plan.participants[index], draw_hidden(plan, index), draw_affine(plan.spec, index)
    scans = [visit(plan, hidden, index, session) for session in range(plan.sessions[index])]
    for scan in scans:
        _write_images(folder, scan, affine)
    anatomy, driver = scans[0].anatomy, scans[0].driver
    folder.volume(f"{name}/mask.nii.gz", (anatomy.head.brain > 0.5).astype(np.uint8), affine)
    folder.volume(f"{name}/tumor.nii.gz", anatomy.tumour.mask.astype(np.uint8), affine)
    folder.volume(f"truth/fields/{name}.nii.gz", quantise(driver, _FIELD_STEP), affine, slope=_FIELD_STEP)
    sites = draw_sites(
        anatomy.tumour.mask, int(plan.counts[index]), plan.spec, stream(plan.spec.seed, "sites", index)
    )
    return Participant(
        sites, affine, *_express(plan, hidden, sites, index), ideal_probits(plan, hidden, sites, index)
    )


def _write_images(folder: Folder, scan: Scan, affine: DoubleArray) -> None:
    plan, index = scan.plan, scan.participant
    scanner = plan.scanners[plan.scanner[index, scan.session]]
    place = f"{plan.participants[index]}/{SESSIONS[scan.session]}"
    for sequence in np.flatnonzero(plan.present[index]):
        stored = quantise(scan.image(int(sequence)), _STEP)
        inter = _UNIT * float(scanner.offset[sequence])
        folder.volume(f"{place}/{SEQUENCES[sequence]}.nii.gz", stored, affine, _UNIT * _STEP, inter)


def draw_affine(spec: PhantomSpec, index: int) -> DoubleArray:
    """Draw a participant's voxel-to-world matrix: 1 mm, slightly oblique, shape (4, 4)."""
    rng = stream(spec.seed, "affine", index)
    affine = np.eye(4)
    affine[:3, :3] = rotation(rng.uniform(2, 6, size=3) * rng.choice([-1, 1], size=3))
    middle = affine[:3, :3] @ np.full(3, (spec.size - 1) / 2)
    affine[:3, 3] = rng.uniform(-8, 8, size=3) - middle
    return affine


def _express(
    plan: Plan, hidden: Hidden, sites: Sites, index: int
) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """The product of the fields at the true sites, the expression g it drives, numbers for further genes."""
    source = draw_hidden(plan, index, "null") if plan.spec.signal == "none" else hidden
    z = np.array([source.at(*site[:, None]).item() for site in sites.true])
    noise = stream(plan.spec.seed, "expression", index).standard_normal((len(z), len(GENES)))
    kappa2 = plan.spec.model.kappa2
    return z, kappa2**0.5 * z + (1 - kappa2) ** 0.5 * noise[:, 0], noise[:, 1:]
