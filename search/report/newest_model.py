"""The newest model folder in the home that was made of a study, and what it was found to look at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import optuna

from data_prep.plain_files import read_plain
from data_prep.problems import InputError
from search.deployment.facts import FILE, ModelFacts
from search.deployment.model import MAX_FACTS, Model
from search.deployment.versions import names_of_models, version_folder, versions_of
from search.explaining.explanations import Explanations, read_explanations
from search.facts import StudyFacts
from search.home import Home


@dataclass(frozen=True, eq=False)
class NewestModel:
    """A model of a study.

    Attributes:
        facts: What it says of itself.
        explanations: What it looks at; None where it was not explained, or its folder is damaged.
        is_whole: Whether its folder is as it was made.
    """

    facts: ModelFacts
    explanations: Explanations | None
    is_whole: bool

    @property
    def title(self) -> str:
        """Its name and version."""
        return f"{self.facts.name}, version {self.facts.version}"


def newest_model(study: optuna.Study, home: Home) -> NewestModel | None:
    """The model of the study, by its id and dataset, that was made last; None where there is none.

    Args:
        study: The study in Optuna.
        home: Where models lie.
    """
    own = [(facts, folder) for facts, folder in _models(home) if _is_of(facts, study)]
    if not own:
        return None
    facts, folder = max(own, key=lambda pair: (pair[0].created, pair[0].version or 0))
    with suppress(InputError, OSError):
        Model.open(folder)
        return NewestModel(facts, read_explanations(folder), True)
    return NewestModel(facts, None, False)


def _models(home: Home) -> Iterator[tuple[ModelFacts, Path]]:
    """Every model of the home that says what it is."""
    for name in names_of_models(home):
        for version in versions_of(home, name):
            folder = version_folder(home, name, version)
            with suppress(InputError, OSError, UnicodeDecodeError):
                yield ModelFacts.from_json(read_plain(folder / FILE, MAX_FACTS).decode()), folder


def _is_of(facts: ModelFacts, study: optuna.Study) -> bool:
    """Whether a model is of a study as it is: its explanations then count the study's own rows."""
    own = StudyFacts.of(study)
    told = (facts.study_id, facts.training.patches, facts.training.folds)
    return told == (study.user_attrs.get("id"), own.patches, own.fold_table)
