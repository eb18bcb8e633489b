"""What of a map goes to MLflow: pictures and numbers under a pseudonym, no volume, no page, nobody's id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from data_prep.phantom.write import json_bytes
from data_prep.records import Cohort
from search.deployment.model import Model
from search.deployment.tracked import log_map
from search.home import Home
from search.maps.making import Made
from search.maps.record import RECORD, metrics_of, public_record
from search.maps.writing import write_pictures
from search.pseudonyms import PSEUDONYMS, names_of


def publish(made: Made, model: Model, cohort: Cohort, home: Home, tracking_uri: str | None) -> str | None:
    """Log the maps of one participant.

    Args:
        made: The maps.
        model: By which they were drawn.
        cohort: Whose.
        home: Where MLflow's database is unless `tracking_uri` names another.
        tracking_uri: MLflow's.

    Returns:
        The id of the run; None where MLflow could not be reached, which was said.
    """
    name = pseudonym(cohort, made.participant)
    with TemporaryDirectory(prefix="radsearch-map-") as temporary:
        folder = Path(temporary)
        files: dict[str, Path] = {RECORD: folder / RECORD}
        files[RECORD].write_bytes(json_bytes(public_record(made.record)))
        for number, scene in enumerate(made.scenes, start=1):
            shown = name if len(made.scenes) == 1 else f"{name}_visit{number}"
            nobody = replace(
                scene, name=shown, marks=replace(scene.marks, names=("",) * len(scene.marks.names))
            )
            files |= {picture: folder / picture for picture in write_pictures(nobody, folder)}
        title = f"map of {name} of {cohort.name}"
        return log_map(home, tracking_uri, model.facts, title, files, metrics_of(made.record))


def pseudonym(cohort: Cohort, participant: str) -> str:
    """What a participant is called there: counted through the cohort's table of biopsies, as in studies."""
    people = [biopsy.participant_id for biopsy in cohort.biopsies]
    biopsies = [biopsy.biopsy_id for biopsy in cohort.biopsies]
    names: Mapping[str, str] = dict(
        zip(dict.fromkeys(people), names_of(biopsies, people, PSEUDONYMS).participant, strict=True)
    )
    return names[participant]
