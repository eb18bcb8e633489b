"""Where the images of a new cohort lie, and the cohort.toml that says so."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep.importing.joining import Joined
from data_prep.importing.records import Found, Placed
from data_prep.problems import Problems, named
from data_prep.records import MASKS

_SHOWN = 10
_MANY = 3  # participants; of two, one may well lack a sequence


@dataclass(frozen=True)
class Layout:
    """The files of a cohort.

    Attributes:
        images: What becomes of which file.
        sequences: Those that somebody has, in channel order.
        masks: Those that somebody has.
        sessions: Whether images lie in a folder for each session.
        suffix: ".nii" or ".nii.gz".
    """

    images: tuple[Placed, ...]
    sequences: tuple[str, ...]
    masks: tuple[str, ...]
    sessions: bool
    suffix: str


def lay_out(joined: Joined, order: Sequence[str], link: str, problems: Problems) -> Layout:
    """Give every image its place.

    Args:
        joined: The images that are needed.
        order: Sequences in channel order.
        link: "copy" or "symlink".
        problems: Receives links that cannot be, as files of a cohort have one suffix.
    """
    files = [file for own in joined.files.values() for file in own]
    compressed = {_is_compressed(file) for file in files}
    suffix = ".nii" if compressed == {False} else ".nii.gz"
    if link == "symlink" and len(compressed) > 1:
        loose = next(file.label for file in files if not _is_compressed(file))
        problems.add(
            "--link symlink",
            f"images must all end in .nii.gz, or all in .nii, but {loose} differs. Say --link copy.",
        )
    images = [
        Placed(file.path, file.label, f"{_folder(*place)}/{_name(file)}{suffix}", _action(file, suffix, link))
        for place, own in joined.files.items()
        for file in own
    ]
    # Those of a repeat alone are no sequence of the cohort.
    first = [
        file
        for (_, session), own in joined.files.items()
        if session != joined.repeats or not session
        for file in own
    ]
    sequences = {file.name for file in first if not file.mask}
    masks = {file.name for file in first if file.mask}
    return Layout(
        tuple(sorted(images, key=lambda image: image.target)),
        tuple(name for name in order if name in sequences),
        tuple(mask for mask in MASKS if mask in masks),
        any(session is not None for _, session in joined.files),
        suffix,
    )


def rare_sequences(joined: Joined) -> tuple[str, ...]:
    """A warning where sequences are there of one participant alone, as names of series are."""
    owners: dict[str, set[str]] = {}
    for (participant, _), own in joined.files.items():
        for file in own:
            if not file.mask:
                owners.setdefault(file.name, set()).add(participant)
    rare = [name for name, people in sorted(owners.items()) if len(people) == 1]
    if not rare or len({participant for participant, _ in joined.files}) < _MANY:
        return ()
    return (
        f"{len(rare)} of {len(owners)} sequences are of one participant alone: {named(rare, _SHOWN)}. "
        "Are images of one kind named alike? Say --sequence NAME=RULE, the same NAME for each way they are "
        "named.",
    )


def links_out(source: Path, images: Iterable[Placed]) -> tuple[str, ...]:
    """A warning where images are links that lead out of the source."""
    root = source.resolve()
    ends = {image.label: image.source.resolve() for image in images}
    out = [f"{label} to {end}" for label, end in ends.items() if not end.is_relative_to(root)]
    if not out:
        return ()
    return (f"{len(out)} images are links that lead out of {source}: {named(out, _SHOWN)}",)


def _is_compressed(file: Found) -> bool:
    return file.path.name.lower().endswith(".gz")


def _folder(participant: str, session: str | None) -> str:
    return participant if session is None else f"{participant}/{session}"


def _name(file: Found) -> str:
    return f"masks/{file.name}" if file.mask else file.name


def _action(file: Found, suffix: str, link: str) -> str:
    return "compress" if suffix == ".nii.gz" and not _is_compressed(file) else link


def cohort_toml(
    name: str,
    layout: Layout,
    tables: Mapping[str, str],
    coordinates: Mapping[str, str],
    repeats: str | None,
    links: bool,
) -> str:
    """The text of cohort.toml.

    Args:
        name: Of the cohort.
        layout: Of its images.
        tables: "biopsies" and, where there is one, "expression" -> file.
        coordinates: The section of that name.
        repeats: The session that was scanned again.
        links: Whether images are links out of the folder.
    """
    folder = "{participant_id}/{session}" if layout.sessions else "{participant_id}"
    lines = [
        f"name = {_quoted(name)}",
        f"images = {_quoted(f'{folder}/{{sequence}}{layout.suffix}')}",
        f"sequences = [{', '.join(map(_quoted, layout.sequences))}]",
        *_pairs(tables.items()),
        *(["follow_links = true"] if links else []),
        *("", "[coordinates]", *_pairs(coordinates.items())),
    ]
    if layout.masks:
        masks = ((mask, f"{folder}/masks/{mask}{layout.suffix}") for mask in layout.masks)
        lines += ["", "[masks]", *_pairs(masks)]
    if repeats is not None:
        images = f"{{participant_id}}/{repeats}/{{sequence}}{layout.suffix}"
        lines += ["", "[repeats]", f"images = {_quoted(images)}"]
    return "\n".join(lines) + "\n"


def _pairs(items: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{key} = {_quoted(value)}" for key, value in items]


def _quoted(text: str) -> str:
    """A TOML basic string; printable text needs no other escapes than JSON has."""
    return json.dumps(text, ensure_ascii=False)
