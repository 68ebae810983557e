"""Of what the sampler is made: beliefs, acquisition, the choosing itself."""

import time

import numpy as np
import optuna
import pytest

from gnndesign.search.acquisition import Aim, hypervolume_improvement
from gnndesign.search.belief import Belief
from gnndesign.search.choosing import Chooser
from gnndesign.search.known import Known, Observed
from gnndesign.search.models import ForestModel, ProcessModel
from gnndesign.search.sampler import CandidateSampler, Strategy, distributions
from gnndesign.search.surrogate import Kernel, fit_kernel, offsets

KERNEL = Kernel(length=0.8, linear=0.5, noise=1e-2, other_noise=(0.2,))
AIMS = {
    "minimize": Aim.of("minimize"),
    "maximize": Aim.of("maximize"),
    "target": Aim.of({"target": 0.4}),
    "window": Aim.of({"low": -0.3, "high": 0.5}),
}
SURROGATES = {
    Strategy.GAUSSIAN_PROCESS: {},
    Strategy.EXPECTED_IMPROVEMENT: {"by_improvement": True},
    Strategy.RANDOM_FOREST: {"by_forest": True},
}


def known_of(features, values, places, pending=(), aim=AIMS["minimize"]):
    places = np.array(places)
    untried = np.ones(len(features), dtype=bool)
    untried[[*places, *pending]] = False
    observed = Observed(
        aim=aim,
        places=places,
        values=values[places],
        sources=np.zeros(len(places), dtype=int),
    )
    return Known(
        objectives=(observed,),
        constraints=(),
        evaluated=places,
        costs=aim.cost(values[places])[:, None],
        feasible=np.ones(len(places), dtype=bool),
        pending=np.array(pending, dtype=int),
        untried=untried,
    )


def nobody(place):
    del place
    return np.empty(0, dtype=int)


def test_a_belief_that_grows_is_that_of_all_at_once():
    # Against the textbook formulas with one dense inverse (Rasmussen and Williams 2.25).
    random = np.random.default_rng(0)
    points, asked = random.normal(size=(30, 4)), random.normal(size=(50, 4))
    values, sources = random.normal(size=24), np.repeat([0, 1, 0], [15, 6, 9])
    belief = Belief(KERNEL, asked)
    for part in (slice(0, 10), slice(10, 11), slice(11, 24), slice(24, 30)):
        belief.observe(points[part], sources[part])
    mean, variance = belief.mean(values)

    whole = KERNEL.between(points, points) + offsets(sources, sources)
    whole += np.diag(KERNEL.noises(sources))
    across = KERNEL.between(points, asked)
    few = whole[:24, :24]
    assert mean == pytest.approx(across[:24].T @ np.linalg.inv(few) @ values, abs=1e-8)
    assert variance == pytest.approx(values @ np.linalg.inv(few) @ values / 24)
    taken = np.einsum("na,nm,ma->a", across, np.linalg.inv(whole), across)
    assert belief.left == pytest.approx(KERNEL.diagonal(asked) - taken, abs=1e-8)


def test_an_offset_of_another_source_does_not_matter():
    random = np.random.default_rng(1)
    points, asked = random.normal(size=(20, 3)), random.normal(size=(5, 3))
    values, sources = random.normal(size=20), np.repeat([0, 1], 10)
    means = []
    for offset in (0.0, 3.0):
        belief = Belief(KERNEL, asked)
        belief.observe(points, sources)
        means.append(belief.mean(values + offset * sources)[0])
    assert means[1] == pytest.approx(means[0], abs=0.02)


def test_a_source_that_contradicts_is_given_more_noise():
    random = np.random.default_rng(2)
    points = np.concatenate([random.normal(size=(40, 2))] * 2)
    own = np.sin(points[:40, 0]) + points[:40, 1]
    sources = np.repeat([0, 1], 40)
    agrees = fit_kernel(points, np.concatenate([own, own]), sources, (0.05,))
    chance = np.concatenate([own, random.permutation(own)])
    contradicts = fit_kernel(points, chance, sources, (0.05,))
    assert agrees.other_noise == (0.05,)
    assert contradicts.other_noise[0] >= 0.5


@pytest.mark.parametrize("name", AIMS)
def test_improvement_and_probability_are_those_of_many_draws(name):
    aim = AIMS[name]
    random = np.random.default_rng(3)
    mean, deviation = random.normal(size=12), random.uniform(0.1, 1.0, size=12)
    draws = mean + deviation * random.normal(size=(400_000, 12))
    costs = aim.cost(draws.ravel()).reshape(draws.shape)
    for limit in (0.15, 0.7):
        wanted = np.maximum(limit - costs, 0.0)
        # Five standard errors.
        error = 5.0 * wanted.std(0).max() / np.sqrt(len(draws))
        found = aim.expected_improvement(mean, deviation, limit)
        assert found == pytest.approx(wanted.mean(0), abs=error)
        below = aim.probability_below(mean, deviation, limit)
        assert below == pytest.approx((costs <= limit).mean(0), abs=0.004)
    bound = aim.confidence_bound(mean, deviation)
    assert bound == pytest.approx(np.quantile(costs, 0.158655, axis=0), abs=0.01)


@pytest.mark.parametrize("n_objectives", [2, 3])
def test_the_expected_gain_of_hypervolume_is_that_of_many_draws(n_objectives):
    aims = [AIMS["minimize"], AIMS["target"], AIMS["maximize"]][:n_objectives]
    random = np.random.default_rng(4)
    means = random.normal(size=(n_objectives, 6))
    deviations = random.uniform(0.2, 0.6, size=(n_objectives, 6))
    worst = np.array([1.0, 1.5, 1.2])[:n_objectives]
    front = random.uniform(-0.5, 1.0, size=(5, n_objectives))
    front[:, 1] = np.abs(front[:, 1])
    found = hypervolume_improvement(aims, means, deviations, front, worst, random)

    lowest = np.array([-4.0, 0.0, -4.0])[:n_objectives]
    volume = np.prod(worst - lowest)
    points = lowest + (worst - lowest) * random.random((20_000, n_objectives))
    free = points[~(front[:, None] <= points).all(2).any(0)]
    gains = []
    for candidate in range(6):
        chances = np.ones(len(free))
        for k, aim in enumerate(aims):
            draws = means[k, candidate] + deviations[k, candidate] * random.normal(
                size=5_000
            )
            costs = np.sort(aim.cost(draws))
            chances *= np.searchsorted(costs, free[:, k]) / len(costs)
        gains.append(chances.sum() / len(points) * volume)
    if n_objectives == 2:
        assert found == pytest.approx(gains, rel=0.05, abs=0.01)
    else:
        # Sampled, and in a unit of its own: it is there to compare candidates.
        assert np.corrcoef(found, gains)[0, 1] > 0.97


@pytest.mark.parametrize("strategy", SURROGATES)
def test_the_sampler_proposes_what_the_chooser_chooses(space, strategy):
    study = optuna.create_study(
        sampler=CandidateSampler(space, strategy=strategy, seed=5)
    )
    features = space.features()
    values = features[:, 0] - features[:, 3] * features[:, 5]
    for _ in range(12):
        trial = study.ask(distributions(space))
        study.tell(trial, float(values[space.pool.index_of(trial.params)]))
    told = [space.pool.index_of(trial.params) for trial in study.trials]
    chooser = Chooser(
        features=features, neighbors_of=space.pool.neighbors_of, **SURROGATES[strategy]
    )
    wanted = chooser.choose(
        known_of(features, values, told), 4, np.random.default_rng([5, 12])
    )
    proposed = study.sampler.propose(study, 4)
    assert [space.pool.index_of(choices) for choices in proposed] == wanted


@pytest.mark.parametrize("strategy", SURROGATES)
def test_a_batch_spreads_and_keeps_away_from_what_is_in_flight(strategy, monkeypatch):
    # Candidates in tight clusters: the second of a cluster tells little that is new.
    random = np.random.default_rng(6)
    centers = random.normal(size=(40, 3))
    features = np.repeat(centers, 5, axis=0) + 1e-3 * random.normal(size=(200, 3))
    values = np.sin(2.0 * features[:, 0]) + features[:, 1]
    places = random.choice(200, 12, replace=False)

    def clusters():
        chooser = Chooser(
            features=features, neighbors_of=nobody, **SURROGATES[strategy]
        )
        known = known_of(features, values, places)
        chosen = chooser.choose(known, 6, np.random.default_rng(7))
        return len({place // 5 for place in chosen})

    spread = clusters()
    for model in (ForestModel, ProcessModel):
        monkeypatch.setattr(model, "believe", lambda *_: None)
    assert spread > clusters()


def test_a_forest_learns():
    random = np.random.default_rng(8)
    features = random.normal(size=(600, 4)).astype(np.float32)
    values = np.abs(features[:, 0] - 1.0) + np.abs(features[:, 1] + 0.5)
    order = np.argsort(np.argsort(values))
    chooser = Chooser(features=features, neighbors_of=nobody, by_forest=True)
    places = random.choice(600, 60, replace=False).tolist()
    chosen = chooser.choose(known_of(features, values, places), 10, random)
    # By chance their median rank is 300.
    assert np.median(order[chosen]) < 60


def test_sixteen_among_a_million_take_less_than_seconds():
    random = np.random.default_rng(9)
    features = random.normal(size=(1_000_000, 20)).astype(np.float32)
    values = features[:, 0] + features[:, 1] * features[:, 2]
    chooser = Chooser(features=features, neighbors_of=nobody)
    places = random.choice(len(features), 100, replace=False)
    known = known_of(features, values, places)
    begin = time.perf_counter()
    chosen = chooser.choose(known, 16, random)
    # The benchmark measures it; here for a busy machine.
    assert time.perf_counter() - begin < 5.0
    assert len(set(chosen)) == 16
    assert values[chosen].mean() < -1.0
