"""How a study was made, as its storage tells."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import optuna

from gnndesign.search.sampler import CandidateSampler

_RUNS = "runs"
"""User attribute of a study: how each process that worked on it chose, and with what."""

_PACKAGES = ("gnndesign", "torch", "ase", "numpy", "optuna", "pymatgen", "spglib")


def note_run(study: optuna.Study, sampler: CandidateSampler) -> None:
    """Write into a study who goes on with it; call it within `StudyStore.exclusively`."""
    run = {
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "strategy": str(sampler.strategy),
        "seed": sampler.seed,
        "values_it_started_from": sampler.n_earlier,
        "versions": package_versions(),
    }
    runs = study.user_attrs.get(_RUNS, [])
    study.set_user_attr(_RUNS, [*runs, run])


def package_versions() -> dict[str, str]:
    """Of Python and the packages that a result depends on."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            # gnndesign itself, where it runs from its source folder.
            found[name] = "unknown"
    return found


def provenance_of(
    study: optuna.Study,
    definition: Mapping[str, Any],
    reference_energies: Mapping[str, float],
) -> dict[str, Any]:
    """What a result should say of its origin, as JSON has it.

    Args:
        study: with its trials.
        definition: what the study was begun with: potential and checksum, relaxation,
            and what else there is beside the space and the objectives.
        reference_energies: eV/atom of the elements by chemical symbol, of the same
            potential; empty where none were needed.

    Returns:
        Dates are ISO 8601, of the first trial that began and of the last that ended, in
        the time zone of the machine that ran it.
    """
    trials = study.get_trials(deepcopy=False)
    begun = [trial.datetime_start for trial in trials if trial.datetime_start]
    ended = [trial.datetime_complete for trial in trials if trial.datetime_complete]
    known = {
        key: value
        for key, value in definition.items()
        if key not in ("format", "space", "n_candidates")
    }
    return {
        **known,
        "runs": study.user_attrs.get(_RUNS, []),
        "reference_energies_eV_per_atom": dict(reference_energies),
        "first_trial_began": min(begun).isoformat() if begun else None,
        "last_trial_ended": max(ended).isoformat() if ended else None,
    }
