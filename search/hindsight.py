"""Earlier trials in terms of the present space, so that samplers go on learning from them."""

from __future__ import annotations

import copy
from collections.abc import Container, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from search.booking import booked_settings
from search.domains import Value, largest
from search.feasible import logical_name
from search.space import Space
from search.space_changes import domain_of, plain
from search.suggest import distribution_of
from search.widening import CHANGES, Lists


class SlotStudy(optuna.Study):
    """A study as one slot sees it.

    Where its space has changed since its start, samplers see trials as if they had been sampled from this
    slot's space: with its names and distributions, where it has their values. To them a parameter whose name
    or distribution differs is another one. They read trials by `_get_trials` alone.

    Each trial has a sampler of its own, which looks once at the other trials, however many parameters it
    samples. What samplers work out of all finished trials is handed on from one to the next.

    Args:
        study_name: Its name.
        storage: Where it is.
        space: What the slot samples from.
        pruner: Of the trials.
    """

    def __init__(self, study_name: str, storage: BaseStorage, space: Space, pruner: BasePruner) -> None:
        super().__init__(study_name, storage, optuna.samplers.RandomSampler(), pruner)
        self._space = space
        self._changes: list[Any] = []
        self._lists: Lists | None = None
        self._seen: dict[int, FrozenTrial] = {}  # finished trials by number; they change no more

    def ask(self, fixed_distributions: dict[str, BaseDistribution] | None = None) -> optuna.Trial:
        """The next trial; what became of the space is looked up once for it."""
        self._follow_changes(self.user_attrs)
        return super().ask(fixed_distributions)

    def take(
        self, waiting: Sequence[FrozenTrial], attributes: Mapping[str, Any], sampler: BaseSampler
    ) -> optuna.Trial:
        """As `ask`, of a study that was just read; nothing of the trial is sampled yet.

        Args:
            waiting: Its trials that wait, the first one first.
            attributes: Its user attributes.
            sampler: Of this trial.
        """
        taken = next((trial._trial_id for trial in waiting if self._starts(trial)), None)
        if taken is None:
            taken = self._storage.create_new_trial(self._study_id)
        self._thread_local.cached_all_trials = None
        is_as_before = not self._follow_changes(attributes)
        if is_as_before and isinstance(sampler, TPESampler) and isinstance(self.sampler, TPESampler):
            # The parameters that all trials have in common, for which each of them is looked at.
            sampler._search_space = self.sampler._search_space
        self.sampler = sampler
        return optuna.Trial(self, taken)

    def _starts(self, trial: FrozenTrial) -> bool:
        """Take a waiting trial, unless somebody else was first."""
        try:
            return self._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
        except UpdateFinishedTrialError:
            return False

    def _follow_changes(self, attributes: Mapping[str, Any]) -> bool:
        """Look up what became of the space; returns whether it changed since."""
        changes = attributes.get(CHANGES, [])
        if changes == self._changes:
            return False
        self._changes, self._lists, self._seen = changes, Lists(attributes), {}
        return True

    def get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """The trials as they are, for all but samplers."""
        return super()._get_trials(deepcopy, states)

    def is_foreign(self, trial: FrozenTrial) -> bool:
        """Whether a waiting trial needs what a later start added to the study.

        That is an architecture that this process' study file does not have, or a radius beyond its patches.
        """
        settings = _logical(trial.system_attrs.get("fixed_params", {})) | _logical(trial.params)
        settings |= booked_settings(trial) or {}
        known = self._space.catalogue.names
        if settings.get("architecture", known[0]) not in known:
            return True
        needed = _least_radius(self._space, settings)
        # One that no start has offered is an error of whoever enqueued it, and fails its trial.
        return needed > self._space.largest_radius and needed <= self._largest_added()

    def _largest_added(self) -> int:
        """The largest radius that any start has added to the study; 0 where none has."""
        changes = self.user_attrs.get(CHANGES, ())
        added = [change["now"] for change in changes if change["parameter"] == "patch_radius"]
        return max((int(largest(domain_of(entry))) for entry in added), default=0)

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        """The trials as samplers are to see them, at the first look since this one began.

        The name is Optuna's.
        """
        trials = super()._get_trials(False, states, use_cache=True)
        told = trials if self._lists is None else [self._retold(trial, self._lists) for trial in trials]
        return copy.deepcopy(told) if deepcopy else told

    def _retold(self, trial: FrozenTrial, lists: Lists) -> FrozenTrial:
        if trial.state == TrialState.WAITING:
            return trial
        if not trial.state.is_finished():
            return retold(trial, self._space, lists)
        if trial.number not in self._seen:
            self._seen[trial.number] = retold(trial, self._space, lists)
        return self._seen[trial.number]


def retold(trial: FrozenTrial, space: Space, lists: Lists) -> FrozenTrial:
    """The trial as if it had been sampled from a space.

    A value that the space does not have is left out, as is what the trial has not sampled yet; parameters
    that are none of the space's (of hypermodels) stay as they are. Where the space gained a parameter,
    earlier trials have its default, which they used.
    """
    values = booked_settings(trial)
    values = _logical(trial.params) if values is None else values
    settings = space.settings(values)
    if settings["architecture"] not in space.catalogue.names:
        return trial
    told = copy.copy(trial)
    names = [name for name in trial.params if logical_name(name) not in space]
    params: dict[str, Any] = {name: trial.params[name] for name in names}
    distributions = {name: trial.distributions[name] for name in names}
    for parameter in space.parameters:
        if parameter.name in values and parameter.exists(settings):
            asked = lists.asked(space, parameter, settings)
            if values[parameter.name] in asked.domain:
                params[asked.name] = values[parameter.name]
                distributions[asked.name] = distribution_of(asked.domain)
    told.params, told.distributions = params, distributions
    return told


def _least_radius(space: Space, settings: Mapping[str, Value]) -> int:
    """The least radius that a trial can have; what is not among its settings is sampled from the space."""
    if "patch_radius" in settings:
        return int(settings["patch_radius"])
    if "architecture" not in settings:
        return 0
    stems = [settings["stem"]] if "stem" in settings else plain(space.domain("stem"))
    size = int(settings.get("resize_to", largest(space.domain("resize_to"))))
    name = str(settings["architecture"])
    behind = [(str(stem), size if stem == "resize" else None) for stem in stems]
    radii = (space.catalogue.smallest_radius(name, stem, to) for stem, to in behind)
    return min((radius for radius in radii if radius is not None), default=0)


def _logical(params: Mapping[str, Value]) -> dict[str, Value]:
    return {logical_name(name): value for name, value in params.items()}
