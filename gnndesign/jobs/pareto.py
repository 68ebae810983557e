"""What a worker does to look for weights of the loss; the study is in the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gnndesign.jobs.control import Control, Progress
from gnndesign.jobs.spec import JobSpec
from gnndesign.jobs.store import JobStore
from gnndesign.training.pareto import iterate_loss_weights
from gnndesign.training.pareto_space import ParetoSpace, Range
from gnndesign.training.plan import TrainingPlan


def pareto_parameters(
    plan: TrainingPlan, space: ParetoSpace, *, n_trials: int, seed: int = 0
) -> dict[str, Any]:
    """The parameters of a job of this kind, as JSON holds them."""
    return {
        "plan": plan.to_dict(),
        "space": {
            "energy": list(space.energy),
            "stress": space.stress and list(space.stress),
            "shape": {
                name: {"low": options.low, "high": options.high, "log": options.log}
                if isinstance(options, Range)
                else list(options)
                for name, options in space.shape.items()
            },
        },
        "n_trials": n_trials,
        "seed": seed,
    }


def run_pareto(store: JobStore, spec: JobSpec, control: Control) -> Iterator[Progress]:
    """Train with one weight after the other; a resumed job goes on with its study."""
    parameters = dict(spec.parameters)
    plan = TrainingPlan.from_dict(parameters["plan"])
    total = control.total or int(parameters["n_trials"])
    yield Progress(done=store.status().done, total=total, message="Reading the data.")
    data, validation = plan.load_data()
    for progress in iterate_loss_weights(
        plan,
        data,
        validation,
        storage=store.study_file,
        space=_space(parameters["space"]),
        n_trials=total,
        seed=int(parameters["seed"]),
        should_stop=control.should_stop,
    ):
        yield Progress(
            done=progress.n_done, total=progress.n_trials, message=progress.message
        )


def _space(data: Mapping[str, Any]) -> ParetoSpace:
    stress = data["stress"]
    return ParetoSpace(
        energy=tuple(data["energy"]),
        stress=None if stress is None else tuple(stress),
        shape={
            name: Range(**options) if isinstance(options, dict) else tuple(options)
            for name, options in data["shape"].items()
        },
    )
