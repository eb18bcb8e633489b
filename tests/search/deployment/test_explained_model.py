"""A model of a real study explained: by its own fold members, in its folder, on its card, in the report."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from search.deployment.card import write_card
from search.deployment.facts import CARD, FILE
from search.deployment.model import Model, hashes_of
from search.deployment.records import Shown
from search.explaining.changed import cropped
from search.explaining.explain import explain
from search.explaining.explanations import Explanations, read_explanations
from search.explaining.pictures import write_explanations
from search.home import Home
from search.metrics import Scores, pooled_metrics
from search.report.contents import contents
from search.report.evidence import gather
from search.report.page import render
from tests.search.deployment.conftest import Refitted


@pytest.fixture(scope="module")
def found(model_folder: Path, refitted: Refitted) -> Explanations:
    return explain(Model.open(model_folder), refitted.plan, refitted.home.cache, lambda *_: None)


def test_every_biopsy_is_explained_by_the_members_that_held_it_out(
    found: Explanations, model_folder: Path, refitted: Refitted
) -> None:
    model, material = Model.open(model_folder), refitted.material
    patches = cropped(material.patches, model.request.radius)
    assert sorted(found.occlusion.row) == list(range(len(material.patches)))
    folds = []
    for split in refitted.plan.splits:
        said = model.predictor(split.fold).say(Shown(patches.take(split.test))).probability[:, 0]
        own = found.occlusion.fold == split.fold
        assert found.occlusion.row[own].tolist() == split.test.tolist()
        expected = np.log(said / (1 - said))
        np.testing.assert_allclose(found.occlusion.logit[own, 0], expected, rtol=1e-4, atol=1e-6)
        label = material.labels.relabel(split.train)[0][split.test]
        folds.append(Scores(label, said, material.participant[split.test], 0.5))
    assert found.permutation[0].roc_auc == pytest.approx(pooled_metrics(folds)["roc_auc"])


def test_folder_card_and_report_show_it_and_name_nobody(
    found: Explanations, model_folder: Path, refitted: Refitted, tmp_path: Path
) -> None:
    home = Home.at(shutil.copytree(refitted.home.root, tmp_path / "home"))
    folder = home.root / model_folder.relative_to(refitted.home.root)
    model = Model.open(folder)
    write_explanations(folder, found)
    write_card(folder, model.facts, found, 1.0)
    (folder / FILE).write_text(replace(model.facts, files=hashes_of(folder)).to_json())
    again = read_explanations(Model.open(folder).folder)
    assert again is not None
    assert again.as_json() == found.as_json()
    evidence = gather(refitted.recorded, refitted.study, home, refitted.material)
    page = render("t", "h", "w", contents(evidence))
    section = page[page.index('<section id="explained"') :]
    section = section[: section.index("</section>")]
    assert section.count("<svg") == 2
    assert "B001" in section
    card = (folder / CARD).read_text(encoding="utf-8")
    ids = {*refitted.material.patches.biopsy_id, *refitted.material.patches.participant_id}
    assert not [name for name in ids if re.search(rf"(?<![\w#]){re.escape(name)}(?!\w)", section + card)]
    for text in (section, card):
        assert str(refitted.cohort.parent) not in text
        assert str(tmp_path) not in text
