"""What a child does with its requests; TensorFlow loads at the first that needs it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_prep.inputs import input_channels
from data_prep.problems import InputError
from models.calibration import Calibration
from models.errors import ModelError
from models.spec import CustomSpec, ModelSpec
from search.baseline import fit_shallow
from search.deployment.member import facts_of, write_member
from search.domains import Value
from search.fold import Keep, Scored, Task, run_fold
from search.material import Material
from search.probes import trials_to_probe
from search.records import FoldResult, TrialConfig
from search.refits.fit import Fit, context_of
from search.scenes import Scenes
from search.specs import custom_spec, is_baseline, model_spec
from search.study_file import Study

if TYPE_CHECKING:
    from models.training import Trainer

Ask = Callable[[str, dict[str, Any]], Value]
Send = Callable[[dict[str, Any]], None]


class Workshop:
    """Trains folds, and builds what is not known before it is built.

    Args:
        study: Its settings.
        material: Its dataset.
        cache: Keeps features, by content.
        memory_mb: Resident memory past which compiled networks are dropped; None for no limit.
        members: Where the models of fits go that are kept; None for nowhere, and such fits are not asked for.
    """

    def __init__(
        self,
        study: Study,
        material: Material,
        cache: Path,
        memory_mb: float | None,
        members: Path | None = None,
    ) -> None:
        self._study, self._material, self._cache, self._members = study, material, cache, members
        self._memory_mb = math.inf if memory_mb is None else memory_mb

    def fold(self, config: TrialConfig, split: int, send: Send) -> FoldResult:
        """Run one fold of one trial; epochs are told to `send`.

        Raises:
            ModelError: It cannot be trained.
            InputError: The study's settings do not suit this machine.
        """
        return self._run(Task.of(self._material, self._study, config, split), send)

    def fit(self, fit: Fit, send: Send) -> FoldResult:
        """Run one fit that is no fold of a trial; errors as of `fold`, and those of its scenes.

        One that is kept is on the disk, whole, when this returns.
        """
        task = Task.of_fit(self._material, self._study, fit)
        task = replace(task, scenes=self._scenes.held_out(fit)) if fit.scenes else task
        return self._run(task, send, self._keeper(fit) if fit.keep else None)

    def _run(self, task: Task, send: Send, keep: Keep | None = None) -> FoldResult:
        if is_baseline(task.config.settings):
            return run_fold(task, lambda task: fit_shallow(task, self._cache), keep)
        trainer = self._trainer
        from search.network import train_network

        return run_fold(task, lambda task: train_network(task, trainer, send), keep)

    def _keeper(self, fit: Fit) -> Keep:
        """What writes the model of a fit that is kept."""
        if self._members is None:
            raise ValueError("a fit that is kept needs a folder for members, but this workshop has none")
        folder, context = self._members / fit.key, context_of(self._study, self._material)

        def keep(task: Task, scored: Scored, calibrated: tuple[Calibration, ...]) -> None:
            write_member(folder, facts_of(task, scored, calibrated, context), scored.write)

        return keep

    def compose(self, settings: dict[str, Value], ask: Ask) -> dict[str, Value]:
        """Let a trial's hypermodel ask for its hyperparameters.

        Args:
            settings: Of the trial so far.
            ask: Answers a name and a domain in plain data.

        Raises:
            ModelError: The hypermodel cannot be built.
        """
        self._configure()
        from models.hypermodel import compose

        spec = custom_spec(self._study, settings)
        if spec is None:
            return {}
        shape = self._shape(int(settings["patch_radius"]))
        from models.compiled import errors_named

        with errors_named():
            asked: dict[str, Value] = compose(spec, shape, lambda q: ask(q.name, q.domain))
        return asked

    def probe(self) -> list[str]:
        """What is wrong with the study's own architectures and weights, found by building each."""
        self._configure()
        problems: dict[str, None] = {}
        for settings in trials_to_probe(self._study):
            try:
                found = self._build(dict(settings))
            except ModelError as error:
                found = [str(error)]
            problems |= dict.fromkeys(" ".join(line.split()) for line in found)
        return list(problems)

    def _build(self, settings: dict[str, Value]) -> list[str]:
        """Build a trial's network; what is wrong with the parameters of a user's function."""
        from models.build import build_model
        from models.compiled import errors_named
        from models.user_code import check_function

        custom = custom_spec(self._study, settings)
        if custom is not None and custom.kind == "function":
            outputs = len(self._study.label.definition.heads)
            found = check_function(custom.source, dict(custom.params), outputs)
            if found:
                return [f"{custom.source}: {line}" for line in found]
        if custom is not None and custom.kind == "hypermodel":
            settings |= self._answered(custom, settings)
        with errors_named():
            build_model(self._spec(settings))
        return []

    def _answered(self, custom: CustomSpec, settings: dict[str, Value]) -> dict[str, Value]:
        """What a hypermodel asks for, at the first values; a fixed one that it does not have is an error."""
        from models.hypermodel import discover

        discover(custom, self._shape(int(settings["patch_radius"])))
        asked = self.compose(settings, lambda _, domain: first(domain))
        return {f"{settings['architecture']}.{key}": value for key, value in asked.items()}

    def _spec(self, settings: dict[str, Value]) -> ModelSpec:
        return model_spec(self._study, settings, self._shape(int(settings["patch_radius"])))

    def _shape(self, radius: int) -> tuple[int, int, int]:
        channels = input_channels(self._material.patches, self._material.missing)
        return 2 * radius + 1, 2 * radius + 1, len(channels)

    @cached_property
    def _scenes(self) -> Scenes:
        return Scenes(self._material, self._study.parameters.largest_radius, self._cache)

    @cached_property
    def _trainer(self) -> Trainer:
        self._configure()
        from models.training import Trainer

        return Trainer(self._study.training.compute, self._memory_mb)

    def _configure(self) -> None:
        from models.runtime import configure

        try:
            configure(self._study.training.compute)
        except ModelError as error:
            raise InputError(f"training.{error}") from error


def first(domain: dict[str, Any]) -> Value:
    """The first value of a domain in plain data."""
    value: Value = domain["choices"][0] if "choices" in domain else domain["low"]
    return value
