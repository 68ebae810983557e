import dataclasses
import math

import numpy as np
import optuna
import pytest

from gnndesign.errors import ParameterError
from gnndesign.search.earlier_values import (
    warm_start_from_csv,
    warm_start_from_study,
    warm_starts_from_text,
)
from gnndesign.search.measures import Density
from gnndesign.search.notation import measure
from gnndesign.search.prototype_space import PrototypeSpace
from gnndesign.search.sampler import CandidateSampler, Strategy, distributions
from gnndesign.search.study import search_compositions
from gnndesign.search.warm_start import WarmStart

METALS = (
    *("Li", "Na", "K", "Rb", "Cs", "Mg", "Ca", "Sr", "Ba", "Zn", "Cd", "Sc", "Y"),
    *("La", "Al", "Ga", "In", "Ti", "Zr", "Hf", "Nb", "Ta", "Sn", "Pb", "Bi"),
)


@pytest.fixture(scope="module")
def wide():
    return PrototypeSpace(
        prototype="perovskite",
        sites={"A": METALS, "B": METALS, "X": ("O", "F", "S")},
        charge_neutral=False,
    )


@pytest.fixture(scope="module")
def values(wide):
    """Of every candidate: a function of columns the features mix with many others."""
    features = wide.features()
    random = np.random.default_rng(0)
    directions = random.normal(size=(features.shape[1], 3))
    hidden = features @ directions / np.sqrt(features.shape[1])
    return (hidden[:, 0] - 0.5) ** 2 + (hidden[:, 1] + 0.5) ** 2 + 0.5 * hidden[:, 2]


def start_of(space, places, values, **kwargs):
    return WarmStart(
        choices=tuple(space.pool.choices(int(p)) for p in places),
        values=tuple(map(float, values)),
        **kwargs,
    )


def first_proposals(space, n, **kwargs):
    study = optuna.create_study(sampler=CandidateSampler(space, **kwargs))
    return [space.pool.index_of(c) for c in study.sampler.propose(study, n)]


@pytest.mark.parametrize(
    "strategy", [Strategy.GAUSSIAN_PROCESS, Strategy.RANDOM_FOREST]
)
def test_the_first_batch_is_good_although_the_source_is_noisy_and_off(
    wide, values, strategy
):
    random = np.random.default_rng(1)
    places = random.choice(len(wide), 150, replace=False)
    told = values[places] + 0.2 * values.std() * random.normal(size=150) + 25.0
    start = start_of(wide, places, told)
    rank = np.argsort(np.argsort(values)) / len(values)
    warm = first_proposals(wide, 16, warm_start=(start,), strategy=strategy)
    cold = first_proposals(wide, 16, strategy=strategy)
    assert np.median(rank[warm]) < 0.15
    assert np.median(rank[cold]) > 0.25


def test_a_source_that_is_off_by_a_constant_leads_to_the_same(wide, values):
    places = np.random.default_rng(2).choice(len(wide), 60, replace=False)
    own = np.random.default_rng(3).choice(len(wide), 14, replace=False)

    def proposed(offset):
        start = start_of(wide, places, values[places] + offset)
        study = optuna.create_study(sampler=CandidateSampler(wide, warm_start=[start]))
        for place in own.tolist():
            study.enqueue_trial(wide.pool.choices(place))
            trial = study.ask(distributions(wide))
            study.tell(trial, float(values[place]))
        return study.sampler.propose(study, 8)

    assert proposed(0.0) == proposed(40.0)


def test_the_best_that_the_source_knows_is_still_proposed(wide, values):
    best = np.argsort(values)[:30]
    others = np.random.default_rng(4).choice(len(wide), 60, replace=False)
    places = np.unique(np.concatenate([best, others]))
    start = start_of(wide, places, values[places], noise=0.05)
    proposed = first_proposals(wide, 16, warm_start=(start,))
    assert best[0] in proposed


def test_a_misleading_source_does_not_keep_the_best_from_being_found(wide, values):
    best = set(np.argsort(values)[:10].tolist())
    found = 0
    for seed in (5, 6, 7):
        places = np.random.default_rng(seed).choice(len(wide), 60, replace=False)
        start = start_of(wide, places, -values[places])
        study = optuna.create_study(sampler=CandidateSampler(wide, warm_start=[start]))
        for _ in range(8):
            trials = [study.ask(distributions(wide)) for _ in range(16)]
            for trial in trials:
                place = wide.pool.index_of(trial.params)
                found += place in best
                study.tell(trial, float(values[place]))
    # By chance three times 128 of 1,800 hold 2.1 of the ten best.
    assert found >= 6


def test_too_few_values_leave_the_random_start(space):
    start = start_of(space, range(5), range(5))
    warm = first_proposals(space, 4, warm_start=(start,))
    assert warm == first_proposals(space, 4)


def test_two_objectives_start_warm_when_both_are_known(wide, values):
    places = np.random.default_rng(6).choice(len(wide), 100, replace=False)
    both = [start_of(wide, places, values[places], objective=k) for k in (0, 1)]
    rank = np.argsort(np.argsort(values)) / len(values)

    def proposed(starts):
        sampler = CandidateSampler(wide, warm_start=starts)
        study = optuna.create_study(sampler=sampler, directions=["minimize"] * 2)
        return [wide.pool.index_of(c) for c in sampler.propose(study, 8)]

    assert np.median(rank[proposed(both)]) < 0.1
    assert proposed(both[:1]) == proposed([])


def test_an_earlier_search_is_read_with_its_measures(small_space, toy, tmp_path):
    path = tmp_path / "earlier.db"
    aimed = Density().near(6.0)
    result = search_compositions(small_space, aimed, toy(), 4, path, batch_size=2)
    (start,) = warm_start_from_study(path)
    assert len(start.values) == 4
    told = {
        tuple(c.items()): v for c, v in zip(start.choices, start.values, strict=True)
    }
    for trial in result.trials:
        # Its value is the distance to the target, which is not what is to be learned.
        density = trial.measured[Density().column]
        assert told[tuple(trial.choices.items())] == pytest.approx(density)
    again = search_compositions(
        small_space, aimed, toy(), 6, batch_size=2, warm_start=(start,)
    )
    assert len({trial.formula for trial in again.trials}) == 6


def test_a_table_is_read_by_choices_or_by_formula(small_space, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(
        "formula,A,B,X,E\nSrTiO3,Sr,Ti,O,-3.5\nO3TiBa,Ba,Ti,O,-3.4\n"
        "NaCl,Na,Cl,O,-2.0\nSrZrO3,Sr,Zr,O,\n",
        "utf-8",
    )
    wanted = (
        ({"A": "Sr", "B": "Ti", "X": "O"}, {"A": "Ba", "B": "Ti", "X": "O"}),
        (-3.5, -3.4),
    )
    for formula in (None, "formula"):
        start = warm_start_from_csv(path, small_space, value="E", formula=formula)
        assert (start.choices, start.values) == wanted


def test_a_formula_that_fits_two_candidates_is_passed_over(tmp_path):
    space = PrototypeSpace(
        prototype="perovskite",
        sites={"A": ("Sr", "Ti"), "B": ("Sr", "Ti"), "X": ("O",)},
        charge_neutral=False,
    )
    path = tmp_path / "table.csv"
    path.write_text("formula,E\nTiSrO3,1.0\nO3SrTi,2.0\n", "utf-8")
    start = warm_start_from_csv(path, space, value="E", formula="formula")
    assert start.choices == ({"A": "Ti", "B": "Sr", "X": "O"},)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("A,B,X\nSr,Ti,O\n", "no column E"),
        ("A,B,X,E\nSr,Ti,O,low\n", "in line 2 of"),
        ("A,B,X,E\nNa,Ti,O,1\n", "No line"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(small_space, tmp_path, text, complaint):
    path = tmp_path / "table.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(ParameterError, match=complaint):
        warm_start_from_csv(path, small_space, value="E")


def test_a_person_points_to_an_earlier_search_or_a_table(small_space, toy, tmp_path):
    study, table = tmp_path / "earlier.db", tmp_path / "table.csv"
    earlier = search_compositions(small_space, measure("density"), toy(), 3, study)
    table.write_text("name,rho,Ef\nSrTiO3,5.1,-3.5\nBaTiO3,6.0,-3.4\n", "utf-8")
    wanted = [measure(m).minimized() for m in ("formation_energy", "density")]
    text = f"{study}; {table}:formation_energy=Ef,formula=name"
    of_study, of_table = warm_starts_from_text(text, small_space, wanted)
    assert (of_study.objective, of_table.objective) == (1, 0)
    assert of_study.values == tuple(t.values["density"] for t in earlier.trials)
    assert of_table.values == (-3.5, -3.4)
    assert warm_starts_from_text("", small_space, wanted) == ()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{folder}/table.csv", "MEASURE=COLUMN, to know"),
        ("{folder}/table.csv:Ef", "MEASURE=COLUMN with a measure of formation_energy"),
        ("{folder}/table.csv:density=rho", "with a measure of formation_energy"),
        ("{folder}/study.db", "measured none of formation_energy_eV_per_atom; it has"),
    ],
)
def test_what_cannot_be_learned_from_is_said(
    small_space, toy, tmp_path, text, complaint
):
    search_compositions(
        small_space, measure("density"), toy(), 1, tmp_path / "study.db"
    )
    wanted = [measure("formation_energy").minimized()]
    with pytest.raises(ParameterError, match=complaint):
        warm_starts_from_text(text.format(folder=tmp_path), small_space, wanted)


def test_what_is_wrong_with_values_is_said(small_space):
    start = start_of(small_space, [0, 1], [1.0, 2.0])
    with pytest.raises(ParameterError, match="finite"):
        dataclasses.replace(start, values=(1.0, math.nan))
    with pytest.raises(ParameterError, match="a value for each"):
        dataclasses.replace(start, values=(1.0,))
    with pytest.raises(ParameterError, match="positive noise"):
        dataclasses.replace(start, noise=0.0)
    elsewhere = dataclasses.replace(start, choices=({"A": "Xx"}, {"B": "Ti"}))
    with pytest.raises(ParameterError, match="None of the 2 candidates"):
        CandidateSampler(small_space, warm_start=[elsewhere])
