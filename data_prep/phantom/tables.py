"""The tables of a phantom and its cohort.toml."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from data_prep.arrays import DoubleArray
from data_prep.phantom.plan import SESSIONS, Plan
from data_prep.phantom.sites import Sites
from data_prep.phantom.spec import SEQUENCES, TPM_CUT, PhantomSpec
from data_prep.phantom.write import Folder

GENES: Final = {"CD3D": (TPM_CUT, 1.0), "CD3E": (1.6, 0.9), "CD8A": (0.9, 0.7), "GFAP": (900.0, 0.0)}
"""Median TPM of each gene and the correlation of its log with that of CD3D."""

_EXPRESSION_SD: Final = 1.0  # of the natural logarithm of TPM


@dataclass(frozen=True)
class Participant:
    """What one participant adds to the tables.

    Attributes:
        sites: Sites in mm of the field of view.
        affine: From these to the world, shape (4, 4).
        z: The hidden field of the labels, or the product of two, at the true sites; shape (biopsies,).
        g: Expression of CD3D in standard units, shape (biopsies,).
        others: Independent standard normal numbers for the other genes, shape (biopsies, 3).
        probit: m, with `Phi(m)` the ideal probability of a positive label, shape (biopsies,).
    """

    sites: Sites
    affine: DoubleArray
    z: DoubleArray
    g: DoubleArray
    others: DoubleArray
    probit: DoubleArray


def write_tables(folder: Folder, plan: Plan, people: Sequence[Participant]) -> None:
    """Write cohort.toml and every table, the true sites in `truth/`."""
    biopsies: list[list[str]] = []
    expression: list[list[str]] = []
    true_sites: list[list[str]] = []
    for name, person in zip(plan.participants, people, strict=True):
        recorded, true = (_world(person.affine, at) for at in (person.sites.recorded, person.sites.true))
        tpm = expression_tpm(person)
        for row in range(len(person.g)):
            biopsy = f"bx-{len(biopsies) + 1:03d}"
            biopsies.append([biopsy, name, SESSIONS[0], *_decimals(recorded[row], 4)])
            expression.append([biopsy, *_decimals(tpm[row], 6)])
            planted = [person.z[row], person.g[row]]
            true_sites.append([biopsy, *_decimals(true[row], 4), *_decimals(planted, 6)])
    folder.table("biopsies.tsv", ("biopsy_id", "participant_id", "session", "x", "y", "z"), biopsies)
    folder.table("expression.tsv", ("biopsy_id", *GENES), expression)
    folder.table("truth/true_sites.tsv", ("biopsy_id", "x", "y", "z", "field", "g"), true_sites)
    folder.table("participants.tsv", ("participant_id", "scanner", "scanner_ses-2"), _scanner_rows(plan))
    folder.write("cohort.toml", _cohort_toml(plan.spec).encode())


def expression_tpm(person: Participant) -> DoubleArray:
    """TPM of `GENES`: `median exp(sd g)`, shape (biopsies, genes)."""
    columns = [person.g, *person.others.T]
    tpm = []
    for (median, share), own in zip(GENES.values(), columns, strict=True):
        log = share * person.g + (1 - share**2) ** 0.5 * own
        tpm.append(median * np.exp(_EXPRESSION_SD * log))
    return np.stack(tpm, axis=1)


def _world(affine: DoubleArray, voxels: DoubleArray) -> DoubleArray:
    return np.asarray(voxels @ affine[:3, :3].T + affine[:3, 3])


def _decimals(values: Sequence[float] | DoubleArray, digits: int) -> list[str]:
    return [f"{value:.{digits}f}" for value in values]


def _scanner_rows(plan: Plan) -> list[list[str]]:
    rows = []
    for name, visits, sessions in zip(plan.participants, plan.scanner, plan.sessions, strict=True):
        first, second = (plan.scanners[scanner].name for scanner in visits)
        rows.append([name, first, second if sessions > 1 else "n/a"])
    return rows


def _cohort_toml(spec: PhantomSpec) -> str:
    sequences = ", ".join(f'"{sequence}"' for sequence in SEQUENCES)
    lines = f"""# A synthetic cohort; what was planted is in truth/, which no study may read.
name = "phantom-{spec.kind}-{spec.signal}-{spec.seed}"
images = "{{participant_id}}/{{session}}/{{sequence}}.nii.gz"
sequences = [{sequences}]
biopsies = "biopsies.tsv"
expression = "expression.tsv"
quantitative = []  # its maps are in arbitrary units: scanners differ in gain and offset

[coordinates]
space = "world"
convention = "RAS"

[masks]
brain = "{{participant_id}}/mask.nii.gz"
tumor = "{{participant_id}}/tumor.nii.gz"
"""
    if spec.repeats:
        lines += f'\n[repeats]\nimages = "{{participant_id}}/{SESSIONS[1]}/{{sequence}}.nii.gz"\n'
    return lines
