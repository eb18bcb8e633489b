"""How the study was conducted: what only its records, or its author, can tell."""

from __future__ import annotations

from data_prep.labels import label_biopsies
from search.audit import SUSPICIOUS_AUC
from search.audit.looks import changes, protocol_hash, read_looks
from search.audit.record import NOT_APPLICABLE, NOT_CHECKED, PASSED, SUSPICIOUS, Check
from search.audit.subject import Subject
from search.booking import counts, settings_of

SIZE, LOOKS, PRETRAINING = "size of the result", "looks", "pretraining"
EVALUATED = "evaluation set"
COUNTED = "run, rescore, report, test and nested are counted, show, list and compare are not"


def check_size(subject: Subject) -> Check:
    """Whether the grouped AUC is larger than such a cohort can credibly give."""
    auc = subject.winner_measured["roc_auc"].value if subject.winner_measured else None
    if auc is None:
        return Check(SIZE, NOT_CHECKED, "No trial is complete yet.")
    figures = {"roc_auc": auc, "suspicious_above": SUSPICIOUS_AUC}
    if auc > SUSPICIOUS_AUC:
        text = (
            f"AUC {auc:.2f} is above {SUSPICIOUS_AUC:.2f}: biopsy targeting and assay alone keep a credible "
            "one near .65 to .75."
        )
        return Check(SIZE, SUSPICIOUS, text, figures=figures)
    return Check(SIZE, PASSED, f"AUC {auc:.2f} is not above {SUSPICIOUS_AUC:.2f}.", figures=figures)


def check_looks(subject: Subject) -> Check:
    """Whether the study went on after its result had been seen."""
    folder = subject.home.study(subject.study.name)
    looks, protocol = read_looks(folder), protocol_hash(folder)
    trials = sum(counts(trial) for trial in subject.trials)
    figures = {"looks": len(looks), "trials": trials, "protocol": protocol}
    found = changes(looks, trials, protocol)
    if found:
        text = f"After a look at its result, {' and '.join(found)} ({len(looks)} looks): that is a new claim."
        return Check(LOOKS, SUSPICIOUS, text, figures=figures)
    if not looks:
        return Check(LOOKS, PASSED, f"No look at the result was counted ({COUNTED}).", figures=figures)
    times = "One look" if len(looks) == 1 else f"{len(looks)} looks"
    have = "was" if len(looks) == 1 else "were"
    text = f"{times} at the result {have} counted ({COUNTED}), and the study has not changed since the first."
    return Check(LOOKS, PASSED, text, figures=figures)


def check_evaluated(subject: Subject) -> Check:
    """Whether every biopsy of the cohort that has a label was scored by every complete trial."""
    scored = subject.scored
    if scored is None:
        return Check(EVALUATED, NOT_CHECKED, "No trial is complete yet.")
    labelled = label_biopsies(subject.material.source, subject.study.label.definition).biopsy_id
    absent = len(set(labelled) - scored)
    incomplete = int((~subject.material.complete).sum())
    figures = {
        "missing": subject.material.missing,
        "incomplete": incomplete,
        "labelled": len(labelled),
        "scored": len(scored),
    }
    if absent:
        text = (
            f"{absent} of {len(labelled)} labelled biopsies were not scored by every complete trial: the "
            "result holds only for the others."
        )
        return Check(EVALUATED, SUSPICIOUS, text, figures=figures)
    whom = f", {incomplete} of them without some sequence" if incomplete else ""
    text = f"All {len(labelled)} labelled biopsies were scored by every complete trial{whom}."
    return Check(EVALUATED, PASSED, text, figures=figures)


def check_pretraining(subject: Subject) -> Check:
    """Weights from elsewhere: what they were trained on only their author knows."""
    used, own = set[str](), set[str]()
    for trial in subject.trials:
        settings = settings_of(trial)
        used.add(str(settings.get("weights", "none")))
        own |= {str(settings.get("architecture"))} & set(subject.study.catalogue.own)
    used.discard("none")
    figures = {"weights": sorted(used), "own_architectures": sorted(own)}
    if used or own:
        names = ", ".join([*sorted(name.rpartition("/")[2] for name in used), *sorted(own)])
        text = f"The author must declare what {names} was trained on: no image of theirs may be in it."
        return Check(PRETRAINING, NOT_CHECKED, text, figures=figures)
    return Check(PRETRAINING, NOT_APPLICABLE, "All weights began at random.", figures=figures)
