"""An import plan in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from data_prep.importing.records import ImportPlan, LeftOut
from data_prep.problems import named, one_line

_SHOWN = 8  # values of a kind, and things left out for one reason


def summary(plan: ImportPlan) -> list[str]:
    """What was matched and mapped, what is taken for granted and what is left out; long lists cut short."""
    return [*_matched(plan), *_columns(plan), *_remarks(plan), *_left_out(plan.left_out)]


def details(plan: ImportPlan) -> list[str]:
    """The same with every file, everything that is left out, and the text of cohort.toml."""
    lines = [*_matched(plan), *_columns(plan), *_remarks(plan), "Left out:"]
    lines += [f"  {one_line(left.what)}: {one_line(left.why)}" for left in plan.left_out] or ["  nothing"]
    lines.append("Files:")
    lines += [f"  {image.action}  {image.label} -> {image.target}" for image in plan.images]
    lines += [f"  write  {name} ({text.count(chr(10))} lines)" for name, text in plan.texts.items()]
    return [*lines, "cohort.toml:", *(f"  {line}" for line in plan.texts["cohort.toml"].splitlines())]


def _matched(plan: ImportPlan) -> list[str]:
    """What the names of the images were taken for."""
    how = "guessed from the names" if plan.guessed else "as told" if plan.how != ("BIDS",) else "by entities"
    lines = [f"Images: {', '.join(plan.how)} ({how})"]
    images = [file for file in plan.found if not file.mask]
    lines.append(_values("participant", [file.participant for file in plan.found]))
    if any(file.session for file in plan.found):
        lines.append(_values("session", [file.session or "none" for file in plan.found]))
    lines.append(_values("sequence", [file.name for file in images]))
    if len(images) < len(plan.found):
        lines.append(_values("mask", [file.name for file in plan.found if file.mask]))
    return lines


def _values(role: str, values: list[str]) -> str:
    counts = {value: values.count(value) for value in dict.fromkeys(sorted(values))}
    shown = named([f"{value} ({count})" for value, count in counts.items()], _SHOWN)
    return f"  {role}: {len(counts)} [files]: {shown}"


def _columns(plan: ImportPlan) -> list[str]:
    return ["Biopsies:", *(f"  {mapped.ours} <- {mapped.theirs} ({mapped.how})" for mapped in plan.mapped)]


def _remarks(plan: ImportPlan) -> list[str]:
    notes = [f"  {one_line(note)}" for note in plan.notes]
    warnings = [f"  {one_line(warning)}" for warning in plan.warnings]
    return [*(["Notes:", *notes] if notes else []), *(["Warnings:", *warnings] if warnings else [])]


def _left_out(left_out: Iterable[LeftOut]) -> Iterator[str]:
    by_reason: dict[str, list[str]] = {}
    for left in left_out:
        by_reason.setdefault(one_line(left.why), []).append(one_line(left.what))
    if by_reason:
        yield "Left out:"
    for why, what in by_reason.items():
        yield f"  {why} ({len(what)}): {named(what, _SHOWN)}"
