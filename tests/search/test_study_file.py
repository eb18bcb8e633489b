from __future__ import annotations

from pathlib import Path

import pytest

from data_prep.problems import InputError
from search.study_file import Study, read_study

SMALL = """
name = "small"
cohort = "cohort"
[space]
learning_rate = { low = 1e-5, high = 1e-1, log = true }
"""


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(SMALL)
    return path


def problems_of(path: Path, text: str, overrides: tuple[str, ...] = ()) -> str:
    path.write_text(text)
    with pytest.raises(InputError, match=r".") as caught:
        read_study(path, overrides)
    return str(caught.value)


def test_every_key_but_name_and_space_has_a_default(study_file: Path) -> None:
    study = read_study(study_file)
    assert (study.search.trials, study.validation.folds, study.training.epochs) == (30, 5, 50)
    assert study.label.genes == ("CD3D",)


def test_one_e_minus_four_is_a_number(study_file: Path) -> None:
    assert read_study(study_file, ["space.learning_rate.low=1e-4"]).space["learning_rate"]["low"] == 1e-4


def test_a_relative_cohort_starts_at_the_study_file(study_file: Path) -> None:
    assert read_study(study_file).cohort == str(study_file.parent / "cohort")


def test_the_command_line_wins_over_the_file(study_file: Path, tmp_path: Path) -> None:
    study = read_study(study_file, ["search.trials=7", "search.sampler=random"], tmp_path / "other")
    assert (study.search.trials, study.search.sampler) == (7, "random")
    assert study.cohort == str(tmp_path / "other")


def test_a_study_survives_its_json(study_file: Path) -> None:
    study = read_study(study_file, ["input.augmentation=['flip']", "search.enqueue=[{learning_rate=0.01}]"])
    assert Study.from_json(study.to_json()) == study


@pytest.mark.parametrize(
    ("extra", "line"),
    [
        ("[trainig]\nepochs = 3", "study.toml: trainig: unknown key; did you mean 'training'"),
        ("[training]\nepoch = 3", "study.toml: training.epoch: unknown key; did you mean 'epochs'"),
        ("[training]\nepochs = 0", "training.epochs: must be greater than or equal to 1, but got 0"),
        ("[training]\nepochs = '3'", "training.epochs: must be a whole number, but got '3'"),
        ("[validation]\nfolds = 1", "validation.folds: must be greater than or equal to 2, but got 1"),
        ("[search]\nmetric = 'auc'", "search.metric: unknown name 'auc'; did you mean 'roc_auc'"),
        ("[search]\npruner = 'hyperband'", "search.pruner: unknown name 'hyperband'"),
        ("[search]\nenqueue = [{ learning_rate = 5.0 }]", "search.enqueue[0].learning_rate: must be one of"),
        ("[search]\ntrial_timeout = 0", "search.trial_timeout: must be greater than 0, but got 0"),
        ("[search]\ntrial_timeout = inf", "search.trial_timeout: must be a finite number, but got inf"),
        ("[search]\ntrial_timeout = '1h'", "search.trial_timeout: must be a number, but got '1h'"),
        ("[input]\nslices = 2", "input.slices: must be odd"),
        ("[input]\nspacing_mm = -1", 'input.spacing_mm: 0.1 to 10 mm are possible, or "native", but got -1'),
        ("[input]\naugmentation = ['flop']", "unknown name 'flop'; did you mean 'flip'"),
        ("[input]\nsequences = []", 'input.sequences: must be "all" or a list of different sequences'),
        ("[label]\nrule = 'log_tpm'", "'log_tpm'"),
        ("[label]\nrule = 'above:x'", "label.rule"),
        ("[label]\ngenes = []", "label.genes: at least one and each once is needed, but got []"),
        ("[label]\ngenes = 'CD3D'", "label.genes: must be a list, but got 'CD3D'"),
        ("[search]\nseed = 99999999999999999999", "search.seed: a whole number has at most 64 bits"),
    ],
)
def test_what_is_wrong_with_a_study_file_is_said(study_file: Path, extra: str, line: str) -> None:
    assert line in problems_of(study_file, SMALL.replace("[space]", f"{extra}\n[space]"))


def test_all_problems_of_a_study_file_are_reported_at_once(study_file: Path) -> None:
    text = "nam = 'x'\n[training]\nepochs = 0\n[space]\noptimizer = []\n"
    said = problems_of(study_file, text, ("search.trials=none",))
    for place in ("nam:", "name:", "cohort:", "training.epochs:", "space.optimizer:", "search.trials:"):
        assert f"study.toml: {place}" in said


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name = ", "not valid TOML"),
        ("name = 'a b'\ncohort = 'c'\n[space]\nbatch_size = [9]", "make a name, but got 'a b'"),
        ("name = 'a'\ncohort = 'c'\n[space]\n", "at least one parameter is needed"),
        ("name = 'a'\ncohort = 'c'", "space: this key is needed, but it is absent"),
    ],
)
def test_a_broken_study_file_is_refused(study_file: Path, text: str, line: str) -> None:
    assert line in problems_of(study_file, text)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.toml: a study file is needed, but it cannot be read"):
        read_study(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("override", ["trials", "=3", "name.x=3"])
def test_an_override_needs_section_key_and_value(study_file: Path, override: str) -> None:
    with pytest.raises(InputError, match="--set"):
        read_study(study_file, [override])


@pytest.mark.parametrize("name", ["quick.toml"])
def test_the_studies_that_ship_are_valid(name: str) -> None:
    study = read_study(Path(__file__).parents[2] / "studies" / name)
    assert study.search.enqueue[0]["architecture"] == "resnet50"


def test_settings_that_a_label_or_the_architectures_have_no_use_for_are_refused(study_file: Path) -> None:
    smooth = ["label.rule=log-tpm", "space.label_smoothing=[0.0, 0.1]"]
    with pytest.raises(InputError, match="only labels can be smoothed, but rule 'log-tpm' learns values"):
        read_study(study_file, smooth)
    assert read_study(study_file, smooth[1:]).parameters.domain("label_smoothing")
    shallow = ["search.enqueue=[]", "space={}", "space.architecture=['roi_means']"]
    with pytest.raises(InputError, match="'augment' is for networks, but the space offers none"):
        read_study(study_file, [*shallow, "input.repeats=augment"])
    with pytest.raises(InputError, match="`slice_mm` is the distance of several slices, but slices = 1"):
        read_study(study_file, ["input.slice_mm=5.0"])


def test_a_column_takes_the_place_of_the_default_gene_and_not_of_one_that_is_named(study_file: Path) -> None:
    study = read_study(study_file, ["label.column=t_cells"])
    assert (study.label.genes, study.label.definition.heads) == ((), ("t_cells",))
    with pytest.raises(InputError, match=r"label\.column: takes the place of genes"):
        read_study(study_file, ["label.column=t_cells", "label.genes=['CD3D']"])


@pytest.mark.parametrize("value", ["'z-score'", "{ FA = 'z-score' }"])
def test_an_unknown_normalisation_names_the_nearest(study_file: Path, value: str) -> None:
    with pytest.raises(
        InputError, match=r"input\.normalisation: unknown name 'z-score'; did you mean 'zscore'"
    ):
        read_study(study_file, [f"input.normalisation={value}"])
