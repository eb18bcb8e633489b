"""A phantom from its spec, participant by participant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from data_prep.arrays import DoubleArray
from data_prep.phantom.hidden import Hidden, draw_hidden
from data_prep.phantom.lattice import lattice_of
from data_prep.phantom.placing import draw_affine, stored_grid
from data_prep.phantom.plan import SESSIONS, Plan, make_plan
from data_prep.phantom.readers import ideal_probits
from data_prep.phantom.scan import Visit, visit
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
    spec, name, hidden = plan.spec, plan.participants[index], draw_hidden(plan, index)
    visits = [visit(plan, hidden, index, session) for session in range(plan.sessions[index])]
    for one in visits:
        _write_images(folder, one)
    grid, anatomy = stored_grid(spec, index), visits[0].anatomy
    for mask, inside in zip(("mask", "tumor"), anatomy.masks(lattice_of(spec)), strict=True):
        folder.volume(f"{name}/{mask}.nii.gz", *grid.stored(inside.astype(np.uint8)))
    driver = quantise(visits[0].scan().driver, _FIELD_STEP)
    folder.volume(f"truth/fields/{name}.nii.gz", *grid.stored(driver), slope=_FIELD_STEP)
    sites = draw_sites(anatomy.tumour.mask, int(plan.counts[index]), spec, stream(spec.seed, "sites", index))
    probits = ideal_probits(plan, hidden, sites, index)
    return Participant(sites, draw_affine(spec, index), *_express(plan, hidden, sites, index), probits)


def _write_images(folder: Folder, made: Visit) -> None:
    plan, index = made.plan, made.participant
    scanner = plan.scanners[plan.scanner[index, made.session]]
    place = f"{plan.participants[index]}/{SESSIONS[made.session]}"
    for sequence in np.flatnonzero(plan.measured(index, made.session)):
        stored = quantise(made.image(int(sequence)), _STEP)
        grid = stored_grid(plan.spec, index, SEQUENCES[sequence])
        inter = _UNIT * float(scanner.offset[sequence])
        folder.volume(f"{place}/{SEQUENCES[sequence]}.nii.gz", *grid.stored(stored), _UNIT * _STEP, inter)


def _express(
    plan: Plan, hidden: Hidden, sites: Sites, index: int
) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """The product of the fields at the true sites, the expression g it drives, numbers for further genes."""
    source = draw_hidden(plan, index, "null") if plan.spec.signal == "none" else hidden
    z = np.array([source.at(*site[:, None]).item() for site in sites.true])
    noise = stream(plan.spec.seed, "expression", index).standard_normal((len(z), len(GENES)))
    kappa2 = plan.spec.model.kappa2
    g = kappa2**0.5 * z + (1 - kappa2) ** 0.5 * noise[:, 0] + plan.shift(index)
    return z, g, noise[:, 1:]
