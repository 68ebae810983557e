"""What Optuna's own samplers would propose, of which candidates know nothing."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

SAMPLERS: Mapping[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "optuna_gp": lambda seed: optuna.samplers.GPSampler(seed=seed),
    "nsga2": lambda seed: optuna.samplers.NSGAIISampler(seed=seed),
}
"""By name, with a seed."""


def ask_optuna(
    name: str,
    seed: int,
    distributions: Mapping[str, BaseDistribution],
    directions: Sequence[optuna.study.StudyDirection],
    trials: Sequence[FrozenTrial],
    n: int,
) -> list[dict[str, Any]]:
    """Choices that one of `SAMPLERS` wants, allowed or not, new or not.

    It is asked in a study of its own in memory, which holds what has values, so that
    what it wants and nobody evaluates stays out of the real one.

    Args:
        name: of the sampler.
        seed: of its random numbers.
        distributions: of all parameters.
        directions: of the objectives.
        trials: of the real study.
        n: how many are wanted, none of them told.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(
            sampler=SAMPLERS[name](seed), directions=list(directions)
        )
        study.add_trials(
            create_trial(
                values=trial.values,
                params=trial.params,
                distributions=dict(distributions),
            )
            for trial in trials
            if trial.state == TrialState.COMPLETE
        )
        return [study.ask(dict(distributions)).params for _ in range(n)]
