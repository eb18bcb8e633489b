"""From the settings of a trial to the frozen records that `models` and `data_prep` work from."""

from __future__ import annotations

from collections.abc import Mapping

from data_prep.augment_spec import AugmentSpec
from models.registry import BASELINES
from models.spec import TASKS, BaselineSpec, CustomSpec, ModelSpec, OptimizerSpec, TrainingSpec, TransferSpec
from search.domains import Range, Value, largest
from search.sections import TrainingSection
from search.study_file import Study

Settings = Mapping[str, Value]


def is_baseline(settings: Settings) -> bool:
    """Whether a trial fits a shallow model, and no network."""
    return settings["architecture"] in BASELINES


def model_spec(study: Study, settings: Settings, input_shape: tuple[int, int, int]) -> ModelSpec:
    """The network of a trial, for patches (height, width, channels)."""
    name = str(settings["architecture"])
    custom = custom_spec(study, settings)
    definition = study.label.definition
    outputs, task = len(definition.heads), TASKS[definition.is_regression]
    if custom is not None:
        return ModelSpec(name, input_shape, custom=custom, outputs=outputs, task=task)
    stem = str(settings.get("stem", "paper"))
    return ModelSpec(
        name,
        input_shape,
        head=_head(str(settings["head"])),
        dropout=float(settings["dropout"]),
        stem=stem,
        resize_to=int(settings["resize_to"]) if stem == "resize" else None,
        transfer=_transfer(settings),
        outputs=outputs,
        task=task,
    )


def custom_spec(study: Study, settings: Settings) -> CustomSpec | None:
    """The study's own architecture with its parameters; None for one of the registry."""
    name = str(settings["architecture"])
    own = study.catalogue.own.get(name)
    if own is None:
        return None
    mine = {key.removeprefix(f"{name}."): v for key, v in settings.items() if key.startswith(f"{name}.")}
    params = {**(own.fixed or {}), **mine}
    return CustomSpec(own.kind, own.source, _sorted(params), _sorted(own.arguments or {}))


def optimizer_spec(settings: Settings) -> OptimizerSpec:
    """The optimizer of a trial; a momentum of 0 has nothing to look ahead with."""
    momentum = float(settings.get("momentum", 0.0))
    return OptimizerSpec(
        str(settings["optimizer"]),
        float(settings["learning_rate"]),
        momentum,
        nesterov=bool(settings.get("nesterov", False)) and momentum > 0,
        weight_decay=float(settings["weight_decay"]),
        clip_norm=float(settings["clip_norm"]) or None,
        transferred_rate=float(settings.get("transferred_rate", 1.0)),
    )


def training_spec(
    section: TrainingSection, settings: Settings, seed: int, stops: bool, stop_after: int | None = None
) -> TrainingSpec:
    """Epochs, batches and schedule of one fold.

    Args:
        section: Of the study.
        settings: Of the trial.
        seed: Of the fold.
        stops: Whether it has samples to stop on.
        stop_after: Epochs of the schedule after which it ends; None for its end.
    """
    plain = TrainingSpec(
        section.epochs,
        int(settings["batch_size"]),
        seed,
        section.patience if stops else None,
        schedule=str(settings["schedule"]),
        label_smoothing=float(settings["label_smoothing"]),
        stop_after=stop_after,
    )
    if plain.schedule != "plateau":
        return plain
    return TrainingSpec(
        **vars(plain)
        | {
            "plateau_factor": float(settings["plateau_factor"]),
            "plateau_patience": int(settings["plateau_patience"]),
        }
    )


def baseline_spec(settings: Settings, regression: bool = False) -> BaselineSpec:
    """The shallow model of a trial, of a label or of the score behind it."""
    model = BASELINES[str(settings["architecture"])].model
    spec = BaselineSpec(model, task=TASKS[regression])
    used = {name: type(getattr(spec, name))(settings[name]) for name in vars(spec) if name in settings}
    return BaselineSpec(**vars(spec) | used)


def augment_spec(study: Study, settings: Settings) -> AugmentSpec:
    """How the training samples of a trial vary."""
    rotation = str(settings["rotation"])
    return AugmentSpec(
        flip=bool(settings["flip"]),
        rotation=rotation,
        rotation_degrees=float(settings["rotation_degrees"]) if rotation == "free" else 180.0,
        jitter_mm=float(settings["jitter"]) * study.input.registration_sd_mm,
        intensity_scale=float(settings["intensity_scale"]),
        intensity_shift=float(settings["intensity_shift"]),
        channel_dropout=float(settings["channel_dropout"]),
    )


def widest_augment(study: Study) -> AugmentSpec:
    """The augmentation of the study that needs the widest patches."""
    space = study.parameters
    turns = "free" in space.domain("rotation")
    return AugmentSpec(
        rotation="free" if turns else "none",
        jitter_mm=largest(space.domain("jitter")) * study.input.registration_sd_mm,
    )


def offered_augments(study: Study) -> list[AugmentSpec]:
    """One spec for each value of each parameter of augmentation that the study offers, the others off.

    Of a range, its upper end.
    """
    space = study.parameters
    specs = []
    for name in _OFF:
        if name == "rotation_degrees" and "free" not in space.domain("rotation"):
            continue
        domain = space.domain(name)
        values = (domain.high,) if isinstance(domain, Range) else domain.options
        turning: dict[str, Value] = {"rotation": "free"} if name == "rotation_degrees" else {}
        specs += [augment_spec(study, {**_OFF, **turning, name: value}) for value in values]
    return specs


_OFF: dict[str, Value] = {
    "flip": False,
    "rotation": "none",
    "rotation_degrees": 180.0,
    "jitter": 0.0,
    "intensity_scale": 0.0,
    "intensity_shift": 0.0,
    "channel_dropout": 0.0,
}


def _head(text: str) -> tuple[int, ...]:
    return () if text == "none" else tuple(map(int, text.split("-")))


def _transfer(settings: Settings) -> TransferSpec | None:
    weights = str(settings.get("weights", "none"))
    return None if weights == "none" else TransferSpec(weights, int(settings["trainable_stages"]))


def _sorted(table: Settings) -> tuple[tuple[str, Value], ...]:
    return tuple(sorted(table.items()))
