"""Pictures of trials that are gone from where they are shown: found in another place, or drawn again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import optuna
from optuna.artifacts import ArtifactMeta, get_all_artifact_meta
from optuna.trial import FrozenTrial, TrialState

from data_prep.files import whole_file
from data_prep.problems import InputError
from search.booking import finished_folds, key_of
from search.home import Home
from search.identity import check_identity
from search.material import Material, prepare
from search.pictures import draw_trial
from search.study_file import Study

# Copies an artifact of the MLflow run of a key, by name, into a folder.
Fetch = Callable[[int, str, Path], Path]


@dataclass
class Pictures:
    """Brings the pictures of one study's trials back.

    A picture lies in three places: the trial's folder, the dashboard's store, MLflow. The first that has it
    serves the others; where none has it, it is drawn again from the cohort, as long as that is the one that
    the study was run on.

    Attributes:
        home: Where the files lie.
        study: The study in Optuna.
        definition: Its settings.
        fetch: How to get MLflow's copy; raises LookupError where it has none.
    """

    home: Home
    study: optuna.Study
    definition: Study
    fetch: Fetch
    _material: Material | str | None = field(default=None, init=False)  # text: why there is none

    def missing(self) -> Iterator[tuple[FrozenTrial, ArtifactMeta]]:
        """The dashboard's pictures whose files are gone."""
        for trial in self.study.get_trials(deepcopy=False):
            if trial.state != TrialState.RUNNING:
                for meta in self._metas(trial):
                    if not _is_there(self.home.artifacts / meta.artifact_id):
                        yield trial, meta

    def put_back(self, trial: FrozenTrial, meta: ArtifactMeta) -> None:
        """Put a picture back into the dashboard's store.

        Raises:
            LookupError: It is nowhere to be found and cannot be drawn again; the error says why.
        """
        source = self.bring(self.home.study(self.definition.name).trial(key_of(trial)) / meta.filename)
        with whole_file(self.home.artifacts / meta.artifact_id) as draft:
            shutil.copyfile(source, draft)

    def bring(self, path: Path) -> Path:
        """Put a picture back into the trial's folder, unless it is there.

        Args:
            path: `folder.trial(key) / name`.

        Returns:
            The path.

        Raises:
            LookupError: See `put_back`.
        """
        if _is_there(path):
            return path
        key = int(path.parent.name)
        for trial in self._attempts(key):
            for meta in self._metas(trial):
                copy = self.home.artifacts / meta.artifact_id
                if meta.filename == path.name and _is_there(copy):
                    with whole_file(path) as draft:
                        shutil.copyfile(copy, draft)
                    return path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.fetch(key, path.name, path.parent)
        except LookupError:
            self._draw(key, path)
        return path

    def _draw(self, key: int, path: Path) -> None:
        """Draw all pictures of a trial, of which `path` must be one."""
        if self._material is None:
            self._material = self._read_material()
        if isinstance(self._material, str):
            raise LookupError(f"no copy is left, and it cannot be drawn again: {self._material}")
        trial = self._attempts(key)[-1]
        folds = list(finished_folds(trial).values())
        identifiers = self.definition.tracking.identifiers
        if folds:
            draw_trial(self._material, folds, path.parent, trial.number, identifiers)
        if not _is_there(path):
            raise LookupError("no copy is left, and no picture of this name is drawn any more")

    def _read_material(self) -> Material | str:
        try:
            material = prepare(self.definition, self.home, frozen=True)
            check_identity(self.definition, material, self.study.user_attrs["identity"], self.home)
        except InputError as error:
            return error.problems[0]
        except OSError as error:
            return f"{error.filename}: {error.strerror}"
        return material

    def _attempts(self, key: int) -> list[FrozenTrial]:
        return [trial for trial in self.study.get_trials(deepcopy=False) if key_of(trial) == key]

    def _metas(self, trial: FrozenTrial) -> list[ArtifactMeta]:
        return get_all_artifact_meta(trial, storage=self.study._storage)


def _is_there(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0
