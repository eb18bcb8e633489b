"""What the commands from a study to a map refuse, and that they then leave everything as it was."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from search.deployment.folder import build
from search.deployment.plan import plan_refit
from search.home import Home
from search.placement import Placement
from search.progress import Listener
from search.recorded import material_of, recorded_study
from search.refits.crew import run_fits
from search.refits.ledger import FitLedger
from search.study_file import read_study
from search.supervisor import RunOptions, run_study
from tests.contracts.bad_input import KEPT, STUDY, Case, check_refused, nothing, replaced

MODEL = "home/models/toy/1"
# Beside the patches: a lock, whose content is nothing, the ledger of fits, and the folder for maps, empty.
LEFT = KEPT + r"|home/reaper\.lock$|home/studies/toy(/logs|/refits)?(/[\w-]+\.(log|jsonl))?$|out$"
PREDICT = "predict {model} {{world}}/cohort --out {{world}}/out/said.tsv"
MAP = "map toy {{world}}/cohort --participant {who} --out {{world}}/out --skip-tracking{more}"


@pytest.fixture(scope="session")
def deployed_world(sound_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sound world with its study run, and a model of it without the folds.

    Made without the checks that `run` and `refit` add, which take longer than the rest.
    """
    folder = tmp_path_factory.mktemp("deployed") / "world"
    shutil.copytree(sound_world, folder)
    home, here = Home.at(folder / "home"), (Placement(1, None),)
    run_study(read_study(folder / "study.toml"), home, RunOptions(source=STUDY, placements=here), Listener())
    recorded, study = recorded_study(home, None, "toy", None)
    material = material_of(study, recorded, home)
    plan = plan_refit(recorded, study, material, skip_folds=True)
    with FitLedger.open(home.study("toy").root / "refits" / "refit.jsonl", plan.context) as ledger:
        run_fits(plan.fits, ledger, study, home, material, here, lambda *_: None)
        build(plan, ledger, recorded, home, "toy")
    return folder


@pytest.fixture
def world(deployed_world: Path, tmp_path: Path) -> Path:
    """A copy of it, at the place where it was made: a study names its cohort by its path."""
    copy = tmp_path / "world"
    shutil.copytree(deployed_world, copy)
    definition = copy / "home/studies/toy/study.json"
    definition.write_text(definition.read_text().replace(str(deployed_world), str(copy)))
    return copy


def typed(command: str, says: str, spoil: Callable[[Path], object] = nothing, name: str = "") -> Case:
    title = f"{name} {command.replace('{world}', '')}".strip()[:90]
    return Case(title, spoil, says, command + " --home {world}/home")


def predict(
    says: str, spoil: Callable[[Path], object] = nothing, name: str = "", model: str = "toy", more: str = ""
) -> Case:
    return typed(PREDICT.format(model=model) + more, says, spoil, name)


def drawn(
    says: str,
    spoil: Callable[[Path], object] = nothing,
    name: str = "",
    who: str = "sub-001",
    more: str = "",
) -> Case:
    return typed(MAP.format(who=who, more=more), says, spoil, name)


def appended(file: str) -> Callable[[Path], object]:
    def spoil(world: Path) -> None:
        path = world / file
        path.write_bytes(path.read_bytes() + b" ")

    return spoil


def any_member(world: Path) -> Path:
    return sorted((world / MODEL / "members").glob("*/member.json"))[0]


def without_t2(world: Path) -> None:
    toml = world / "cohort/cohort.toml"
    toml.write_text(toml.read_text().replace(", 'T2'", ""))


def with_voxels_of(millimetres: float) -> Callable[[Path], object]:
    def spoil(world: Path) -> None:
        for path in (world / "cohort").glob("sub-*/*.nii.gz"):
            image = nib.load(path)
            affine = image.affine @ np.diag([millimetres, millimetres, 1, 1])
            nib.save(nib.Nifti1Image(image.get_fdata().astype(np.float32), affine), path)

    return spoil


def with_sites(*rows: str) -> Callable[[Path], object]:
    def spoil(world: Path) -> None:
        (world / "sites.tsv").write_text("\n".join(("biopsy_id\tparticipant_id\tx\ty\tz", *rows)) + "\n")

    return spoil


def mask_of_another_grid(world: Path) -> None:
    nib.save(nib.Nifti1Image(np.ones((6, 6, 6), dtype=np.uint8), np.eye(4)), world / "mask.nii.gz")


def empty_mask(world: Path) -> None:
    image = nib.load(world / "cohort/sub-001/T1.nii.gz")
    nib.save(nib.Nifti1Image(np.zeros(image.shape, dtype=np.uint8), image.affine), world / "mask.nii.gz")


SITES = " --sites {world}/sites.tsv"
MASK = " --mask {world}/mask.nii.gz"
CASES = [
    typed("refit nope", r"STUDY: no study 'nope' in .*toy"),
    typed("refit toy --trial 99", r"--trial: .*99"),
    typed("refit toy --name ../up", r"--name: .*'../up'"),
    typed("refit toy --seeds 0", r"error: argument --seeds: a whole number from 1 on"),
    typed("refit toy --out {world}/cohort", r"--out: "),
    typed("refit toy --tracking-uri nonsense", r"tracking URI: the scheme must be one of"),
    predict(r"MODEL: a model folder, the name of a model in the home.*did you mean 'toy'", model="toyy"),
    predict(r"MODEL: a model folder, .* but got '/.*nowhere'", model="{world}/nowhere"),
    predict(r"MODEL: a model folder, .* but got 'File name too long' for 'xxx", model="x" * 300),
    predict(r"MODEL: a model folder, .* but got 'toy/9'; versions of 'toy': 1$", model="toy/9"),
    predict(r"cohort: a model folder has a plain model.json, but there is none", model="{world}/cohort"),
    predict(
        r"MODEL: no 'models:/toy@champion' in MLflow at .*Known|MODEL: no .*there is none",
        model="models:/toy@champion",
    ),
    predict(r"MODEL: models:/NAME@ALIAS or models:/NAME/NUMBER is needed", model="models:/toy"),
    predict(
        r"tracking URI: the scheme must be one of",
        model="models:/toy@champion",
        more=" --tracking-uri nonsense",
    ),
    predict(
        r"members/.*/member.json: .*model.json says",
        lambda world: appended(str(any_member(world).relative_to(world)))(world),
        "changed file",
    ),
    predict(
        r"members/.*/member.json: model.json lists it, but it is missing",
        lambda world: any_member(world).unlink(),
        "missing file",
    ),
    predict(
        r"extra.txt: model.json does not list it",
        lambda world: (world / MODEL / "extra.txt").write_text("not ours"),
        "another file",
    ),
    predict(
        r"model.json: format: .* but got 99",
        replaced(f"{MODEL}/model.json", '"format": 1', '"format": 99'),
        "later format",
    ),
    predict(
        r"model.json: JSON is needed",
        lambda world: (world / MODEL / "model.json").write_text("{"),
        "half a file",
    ),
    predict(r"--out-of-fold: models of the folds are needed, but .* has none", more=" --out-of-fold"),
    predict(
        r"cohort.toml: sequences: the model reads 'T2', but the cohort does not declare it",
        without_t2,
        "no T2",
    ),
    predict(
        r"participant sub-000: the model learned from voxels of 1 mm, but these are 2 x 2 mm",
        with_voxels_of(2.0),
        "2 mm",
    ),
    predict(r"sites.tsv: the file must be readable", name="no table", more=SITES),
    predict(
        r"sites.tsv: row 3, column y: a number is needed, but got 'left'",
        with_sites("a\tsub-000\t0\t0\t0", "b\tsub-000\t0\tleft\t0"),
        "no number",
        more=SITES,
    ),
    predict(
        r"sites.tsv: row 2, columns x, y, z: a site must lie inside the grid",
        with_sites("a\tsub-000\t0\t0\t900"),
        "outside",
        more=SITES,
    ),
    predict(
        r"sites.tsv: row 2: at least one image of the biopsy must exist",
        with_sites("a\tsub-404\t0\t0\t0"),
        "nobody",
        more=SITES,
    ),
    predict(
        r"sites.tsv: row 3, column biopsy_id: must be unique",
        with_sites("a\tsub-000\t0\t0\t0", "a\tsub-001\t0\t0\t0"),
        "twice",
        more=SITES,
    ),
    typed(
        "predict toy {world}/cohort --out {world}/out/said.csv", r"--out: a name that ends in .tsv is needed"
    ),
    typed("predict toy {world}/cohort", r"error: the following arguments are required: --out"),
    typed("predict toy {world}/nowhere --out {world}/said.tsv", r"cohort.toml: the file must be readable"),
    drawn(r"sub-0001.*did you mean 'sub-001'", who="sub-0001"),
    drawn(r"cohort.toml: sequences: the model reads 'T2'|T2", without_t2, "no T2"),
    drawn(
        r"participant sub-001: the model needs T1, T2.* but T2 is absent",
        lambda world: (world / "cohort/sub-001/T2.nii.gz").unlink(),
        "lacks T2",
    ),
    drawn(r"the model learned from voxels of 1 mm, but these are 2 x 2 mm", with_voxels_of(2.0), "2 mm"),
    drawn(
        r"mask.nii.gz: a mask must lie on the grid of sub-001's images, 12 x 12 x 12 .* but got 6 x 6 x 6",
        mask_of_another_grid,
        "another grid",
        more=MASK,
    ),
    drawn(r"mask.nii.gz: ", empty_mask, "empty mask", more=MASK),
    drawn(
        r"mask.nii.gz: ",
        lambda world: (world / "mask.nii.gz").write_bytes(gzip.compress(b"no image")),
        "no image",
        more=MASK,
    ),
    drawn(r"error: argument --stride: a whole number from 1 on", more=" --stride 0"),
    drawn(r"--out-of-fold: models of the folds are needed", more=" --out-of-fold"),
    drawn(r"truth", more=" --score"),
    typed(
        "map toy {world}/cohort --out {world}/out",
        r"error: one of the arguments --participant --all is required",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_command_that_deploys_refuses_what_is_wrong_and_changes_nothing(case: Case, world: Path) -> None:
    check_refused(case, world, left=LEFT)
