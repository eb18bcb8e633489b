"""The card of a model: what it is, what it may be used for, how good it is, and what is not known of it.

References:
    Mitchell M et al. (2019), "Model Cards for Model Reporting", FAT*: the headings.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from data_prep.files import whole_file
from search.deployment.card_details import details, provenance, use
from search.deployment.card_explained import explained
from search.deployment.facts import CARD, FILE, LabelFacts, ModelFacts
from search.deployment.markdown import bullets, escaped, table
from search.explaining.explanations import Explanations
from search.metrics import DIRECTIONS
from search.report.phrases import Range, article, counted, decimal, digits_of, interval, named


def card(facts: ModelFacts, found: Explanations | None, cut: float | None = None) -> str:
    """The card as Markdown; no participant or biopsy is named, and no path of a machine.

    Args:
        facts: Of the model.
        found: What it looks at; None where it was not explained.
        cut: The distance beyond which a place is unlike the training data; None where it is not told.
    """
    parts = (
        f"# {escaped(facts.name)}{'' if facts.version is None else f', version {facts.version}'}",
        f"**{facts.intended_use[:1].upper()}{facts.intended_use[1:]}.**",
        *_section("Model details", details(facts)),
        *_section("Intended use", use(facts)),
        *_section("Factors", _factors(facts, cut)),
        *_section("Metrics", _metrics(facts)),
        *_section("Training data", _training(facts)),
        *_section("Evaluation data", _evaluation(facts)),
        *_section("Quantitative analyses", _performance(facts)),
        *_section("What the model looks at", explained(facts, found)),
        *_section("Ethical considerations", _ethics()),
        *_section("Caveats and recommendations", _caveats(facts)),
        *_section("How to use it", _loading()),
        *_section("Provenance", provenance(facts)),
    )
    return "\n\n".join(parts) + "\n"


def write_card(folder: Path, facts: ModelFacts, found: Explanations | None, cut: float | None = None) -> Path:
    """Write the card into a model's folder; arguments as of `card`.

    Raises:
        OSError: It cannot be written.
    """
    path = folder / CARD
    with whole_file(path) as draft:
        draft.write_text(card(facts, found, cut), encoding="utf-8")
    return path


def _section(title: str, blocks: Iterator[str]) -> Iterator[str]:
    yield f"## {title}"
    yield from blocks


def _factors(facts: ModelFacts, cut: float | None) -> Iterator[str]:
    """What may change how good it is, and how a place is told where that must be feared."""
    beyond = "" if cut is None else f", here {cut:.3g}"
    yield (
        "Scanner, protocol, registration and treatment may differ from the training cohort's; how well the "
        "model does under each was not measured. A place is flagged as unlike the training data where its "
        "patch is farther from the training patches than 99 % of the training biopsies are from those of the "
        f"other participants{beyond}. The distance is Mahalanobis' (covariance of Ledoit and Wolf) over mean "
        "and standard deviation of each sequence in the patch, per dimension. It sees unusual intensities; "
        "it does not see unusual anatomy, and a place that is not flagged may still be predicted wrongly."
    )
    yield (
        "The spread is the standard deviation of the probability over the members. It tells where they "
        "disagree, not how wrong they may be together."
    )


def _metrics(facts: ModelFacts) -> Iterator[str]:
    """What the figures below mean."""
    yield (
        f"The study searched by {named(facts.metric)}. AUC counts pairs of biopsies within a fold, never "
        "across: 0.5 is chance. The Brier score is the mean squared error of the probability; what always "
        "says the share of positives is given beside it."
    )


def _training(facts: ModelFacts) -> Iterator[str]:
    """What it learned from, in numbers."""
    own = facts.training
    yield (
        f"{counted(own.biopsies, 'biopsy')} of {counted(own.participants, 'participant')} of one cohort, "
        f"{escaped(own.cohort)}; {own.positive} have the label {escaped(facts.labels[0].name)}. The folder "
        "names none of them: it tells a training participant again by hashes of their images alone."
    )


def _evaluation(facts: ModelFacts) -> Iterator[str]:
    """On whom it was scored."""
    if not facts.folds:
        yield "Biopsies of the same cohort, held out in the study's folds."
        return
    yield (
        f"The same biopsies, each by models that learned without its participant ({facts.folds} folds). No "
        "other cohort was looked at."
    )


def _performance(facts: ModelFacts) -> Iterator[str]:
    """How good it is, the honest figure first."""
    yield _honest(facts)
    naive = facts.honest.get("naive", facts.honest.get("selected_naive"))
    if naive is not None:
        yield _naive(facts, float(naive))
    yield "Calibrated probabilities of biopsies held out, by ranks and calibration made without their fold:"
    yield table(
        ("label", "biopsies", "positive", "AUC", "Brier score", "Brier score of the share"),
        (_scored(label) for label in facts.labels),
    )
    yield (
        "These too are of the biopsies that chose the model, and share its optimism. Where the Brier score "
        "is not below that of the share, probabilities say no more than the share does."
    )


def _honest(facts: ModelFacts) -> str:
    """What the study's selection is worth on new participants."""
    told = facts.honest
    value, claim = told.get("estimate"), told.get("claim")
    if value is None:
        return f"There is no honest estimate: {escaped(str(told.get('reason') or 'none was made'))}."
    low, high = told.get("ci95") or (None, None)
    shown = interval(Range(value, low, high), digits_of(facts.metric))
    better = {None: "", True: " It is better than chance at the 5 % level."}
    return (
        f"**Honest estimate: {article(named(facts.metric))} of {shown}** on participants that were not seen, "
        f"for what the study selects, by {escaped(str(told.get('method')))}."
        + better.get(claim, " It is not shown to be better than chance.")
    )


def _naive(facts: ModelFacts, value: float) -> str:
    """What the selection scored where it was made."""
    honest = facts.honest.get("estimate")
    sign = 1 if DIRECTIONS[facts.metric] == "maximize" else -1
    is_better = honest is not None and sign * (value - honest) > 0
    law = "It is too good and must not be quoted." if is_better else "It must not be quoted."
    return (
        f"Naive value: {decimal(value, digits_of(facts.metric))}, of what was selected on the biopsies that "
        f"it was selected by. {law}"
    )


def _scored(label: LabelFacts) -> tuple[str, ...]:
    found = label.out_of_fold
    share = found.positive / found.biopsies if found.biopsies else 0.0
    return (
        escaped(label.name),
        str(found.biopsies),
        str(found.positive),
        "-" if found.roc_auc is None else decimal(found.roc_auc, 3),
        decimal(found.brier, 3),
        decimal(share * (1 - share), 3),
    )


def _ethics() -> Iterator[str]:
    """Who may be harmed, and what the folder holds of anybody."""
    yield (
        "The model was made of data of patients. Its folder holds numbers fitted to them: weights, ranks of "
        "held-out scores, moments of patches, and hashes that tell a training participant's images again to "
        "who has them. Share it only where the data's own terms allow. Whether the cohort represents those "
        "whom it is used on, and whether it is equally good in all groups of them, is not known."
    )


def _caveats(facts: ModelFacts) -> Iterator[str]:
    """What must be feared."""
    own = facts.training
    yield bullets(
        (
            f"Sample size: {counted(own.participants, 'participant')}, few enough that every figure above "
            "may be off by as much as its interval says, and more where it has none.",
            "Targeting: the recorded site of a biopsy is some millimetres from where the tissue was taken, "
            "which blurs what the model learned and what it is scored by.",
            "One cohort: nothing is known of other centres, scanners and protocols. Test it on your own "
            "biopsies before you believe a map.",
            "A map shows the model's probability, not measured cells; neighbouring voxels share almost all "
            "of what the model sees, so that a smooth map is no evidence.",
            "For participants of the training cohort use maps of models that never saw them "
            "(`--out-of-fold`).",
        )
    )


def _loading() -> Iterator[str]:
    """How it is asked."""
    yield ("With radsearch, from this folder, without any server; COHORT is a folder with a cohort.toml:")
    yield (
        "```\nradsearch predict FOLDER COHORT --out predictions.tsv\n"
        "radsearch map FOLDER COHORT --participant ID --out maps\n```"
    )
    yield (
        "Where it was registered with MLflow, `NAME` being the model's and `URI` that of its server, or "
        "`sqlite:///HOME/mlflow.db` of a home without one:"
    )
    yield (
        '```python\nimport mlflow\n\nmlflow.set_tracking_uri("URI")\n'
        'model = mlflow.pyfunc.load_model("models:/NAME@champion")\n```'
    )
    yield "In Python:"
    yield (
        "```python\nfrom pathlib import Path\n\nfrom search.deployment.model import Model\n\n"
        'model = Model.open(Path("FOLDER"))\n```'
    )
    yield (
        f"Every file's sha256 is in `{FILE}`, and a folder in which one changed is refused. Networks are "
        "Keras files opened in safe mode, shallow models are opened by skops from a closed list of types: "
        "nothing in the folder runs."
    )
