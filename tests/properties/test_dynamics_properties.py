"""Properties of molecular dynamics; what takes long is in tests/physics."""

import json
from functools import partial

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.constraints import FixAtoms

from gnndesign.errors import ConvergenceError, ParameterError, StructureError
from gnndesign.plots.properties import draw
from gnndesign.properties.catalog import new_property
from gnndesign.properties.compute import compute
from gnndesign.properties.crystal_order import CrystalOrder
from gnndesign.properties.liquid_structure import LiquidStructure, first_shells
from gnndesign.properties.melting import Melting
from gnndesign.properties.phase_competition import bracket, winner
from gnndesign.properties.plain import from_plain, to_plain
from gnndesign.properties.sampling import Sampling, check_steady
from gnndesign.properties.transport import Diffusion, slope_of_runs
from gnndesign.properties.vibrations_md import VibrationsMD
from gnndesign.properties.viscosity import Viscosity, green_kubo, shear_pressures
from gnndesign.simulation.dynamics import molecular_dynamics
from gnndesign.simulation.observables.radial_distribution import RadialDistribution
from gnndesign.units import BOLTZMANN_EV_PER_K, EV_PER_A3_TO_GPA

SHORT = partial(
    Sampling, timestep_fs=5.0, equilibration_ps=0.1, production_ps=0.4, every=4
)


def survives_json(result):
    back = from_plain(json.loads(json.dumps(to_plain(result), allow_nan=False)))
    return back.quantities() == result.quantities() and len(draw(back).data) > 0


def decaying(rng, n_runs, n_samples, tau, width):
    """Series whose correlation is width² exp(-t / tau)."""
    keep = np.exp(-1 / tau)
    noise = rng.standard_normal((n_runs, n_samples, 5)) * width
    series = np.empty_like(noise)
    series[:, 0] = noise[:, 0]
    for k in range(1, n_samples):
        series[:, k] = keep * series[:, k - 1] + np.sqrt(1 - keep**2) * noise[:, k]
    return series


def test_green_and_kubo_give_back_the_viscosity_of_a_known_stress():
    # V / (k_B T) width² tau, for a stress that forgets itself exponentially.
    width, tau_fs, volume, heat = 2e-3, 200.0, 5000.0, 300.0
    series = decaying(np.random.default_rng(1), 8, 20_000, tau_fs / 10.0, width)
    found = green_kubo(
        series, sample_fs=10.0, temperatures_K=np.full(8, heat), volume=volume
    )
    pascal_seconds = width**2 * tau_fs * 1e-15 * EV_PER_A3_TO_GPA * 1e9
    wanted = 1e3 * volume / (BOLTZMANN_EV_PER_K * heat) * pascal_seconds
    # The correlation is cut where it is lost in noise, after 4 tau or so.
    error = found.viscosity_error_mPa_s
    assert found.viscosity_mPa_s == pytest.approx(wanted, rel=0.05, abs=3 * error)
    assert error < 0.1 * wanted
    assert found.correlation[20] == pytest.approx(np.exp(-1), abs=0.05)
    assert survives_json(found)


def test_a_stress_that_is_never_forgotten_gives_no_viscosity():
    series = decaying(np.random.default_rng(1), 8, 500, 300.0, 1e-3)
    with pytest.raises(ConvergenceError, match="correlated for longer"):
        green_kubo(series, sample_fs=10.0, temperatures_K=np.full(8, 300.0), volume=1e3)


def test_the_shear_pressure_has_its_kinetic_part(lennard_jones):
    seen = []
    molecular_dynamics(
        bulk("Ar", cubic=True) * (2, 2, 2),
        lennard_jones,
        ensemble="nve",
        steps=3,
        on_snapshot=seen.append,
    )
    last = seen[-1]
    p = -last.stress[0]
    for momentum, mass in zip(last.momenta, last.masses, strict=True):
        p = p + np.outer(momentum, momentum) / (mass * last.volume[0])
    wanted = [p[0, 1], p[0, 2], p[1, 2], (p[0, 0] - p[1, 1]) / 2]
    assert shear_pressures(last, 0)[:4] == pytest.approx(wanted, rel=1e-12)
    assert np.trace(p) / 3 * EV_PER_A3_TO_GPA == pytest.approx(last.pressure_GPa[0])


def test_the_order_counts_how_much_is_crystal():
    unit, repeats = bulk("Cu", cubic=True), (4, 4, 8)
    order = CrystalOrder.of(unit, repeats)
    crystal = unit.repeat(repeats)
    cell = crystal.cell.array
    assert order(crystal.positions, cell) == pytest.approx(1)
    strain = np.array([[1.02, 0.01, 0], [0.01, 0.99, 0], [0, 0, 1.03]])
    assert order(crystal.positions @ strain + 1.3, cell @ strain) == pytest.approx(1)
    rng = np.random.default_rng(0)
    random = rng.random((len(crystal), 3)) @ cell
    assert order(random, cell) < 0.1
    half = np.where(
        crystal.get_scaled_positions()[:, 2:] < 0.5, crystal.positions, random
    )
    assert order(half, cell) == pytest.approx(0.5, abs=0.1)
    # Vibrations of the width u take exp(-G² u² / 2), less for the shorter vectors.
    width = 0.1
    shaken = crystal.positions + width * rng.standard_normal((len(crystal), 3))
    wanted = np.exp(-((2 * np.pi * np.sqrt(3) / 3.61 * width) ** 2) / 2)
    assert order(shaken, cell) == pytest.approx(wanted, abs=0.06)


def test_the_order_of_salt_sees_both_kinds_of_atoms():
    unit = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    order = CrystalOrder.of(unit, (2, 2, 2))
    crystal = unit.repeat((2, 2, 2))
    assert order(crystal.positions, crystal.cell.array) == pytest.approx(1)


def test_the_phase_that_fills_the_cell_has_won():
    solid = np.full(20, 0.7)
    assert winner(np.linspace(0.4, 0.69, 20), solid) == "solid"
    assert winner(np.linspace(0.4, 0.05, 20), solid) == "liquid"
    assert winner(np.linspace(0.4, 0.3, 20), solid) == "undecided"
    # Where even the crystal alone has molten, nothing is compared with it.
    assert winner(np.full(20, 0.1), np.full(20, 0.1)) == "liquid"
    heats = (60.0, 70.0, 80.0, 90.0)
    assert bracket(heats, ("solid", "solid", "undecided", "liquid")) == (70.0, 90.0)
    with pytest.raises(ConvergenceError, match="Add higher"):
        bracket(heats, ("solid",) * 4)
    with pytest.raises(ConvergenceError, match="Add lower"):
        bracket(heats, ("liquid",) * 4)
    with pytest.raises(ConvergenceError, match="by chance"):
        bracket(heats, ("solid", "liquid", "solid", "liquid"))


def test_a_half_that_does_not_melt_is_no_coexistence(lennard_jones):
    cold = Melting(
        temperatures_K=(20.0, 30.0),
        repeats=(2, 2, 4),
        melt_K=40.0,
        melt_ps=0.2,
        sampling=SHORT(equilibration_ps=0.0, ensemble="npt_mtk"),
    )
    with pytest.raises(ConvergenceError, match="did not melt at 40 K"):
        compute(cold, bulk("Ar", cubic=True), lennard_jones)


def test_the_first_shell_of_a_known_distribution_is_found():
    r = np.arange(0.025, 8.0, 0.05)
    g = (
        1
        + 2.0 * np.exp(-((r - 3.7) ** 2) / 0.1)
        - 0.5 * np.exp(-((r - 5.2) ** 2) / 0.2)
    )
    g[r < 3.1] = 0.0
    coordination = np.cumsum(g * r**2) * 0.05 * 4 * np.pi * 0.02
    distribution = RadialDistribution(
        pairs=(("all", "all"), ("Ar", "Ar")),
        r=r,
        g=np.stack([g, g]),
        g_error=np.zeros((2, len(r))),
        r_outer=r + 0.025,
        coordination=np.stack([coordination] * 2),
        coordination_error=np.full((2, len(r)), 0.1),
        n_atoms={"all": 100, "Ar": 100},
        n_samples=10,
        every=1,
        message="",
    )
    (shell,) = first_shells(distribution)
    assert shell.peak == pytest.approx(3.7, abs=0.06)
    assert shell.radius == pytest.approx(5.2, abs=0.1)
    nearest = int(abs(r - 5.2).argmin())
    assert shell.coordination == pytest.approx(coordination[nearest], rel=0.05)
    assert shell.coordination_error == pytest.approx(0.1)


def test_a_series_that_drifts_was_not_at_equilibrium():
    rng = np.random.default_rng(0)
    still = rng.standard_normal(400)
    check_steady(still, "energy")
    with pytest.raises(ConvergenceError, match=r"differs by .* between its halves"):
        check_steady(still + np.linspace(0, 3, 400), "energy")


def test_dynamics_that_diverges_gives_no_number(lennard_jones):
    wild = Diffusion(
        temperatures_K=(5e4,), sampling=SHORT(timestep_fs=20.0, production_ps=5.0)
    )
    with pytest.raises(ConvergenceError, match="ended after"):
        compute(wild, bulk("Ar", cubic=True), lennard_jones)


def test_a_run_that_is_too_short_gives_no_diffusion(lennard_jones):
    short = Diffusion(temperatures_K=(100.0,), n_runs=3, sampling=SHORT(every=4))
    with pytest.raises(ConvergenceError, match="too few for a slope"):
        compute(short, bulk("Ar", cubic=True), lennard_jones)


def test_a_hot_crystal_has_the_shells_of_its_lattice(lennard_jones):
    hot = LiquidStructure(temperature_K=20.0, r_max=6.0, n_runs=2, sampling=SHORT())
    result = compute(hot, bulk("Ar", cubic=True) * (2, 2, 2), lennard_jones)
    (shell,) = result.shells
    assert shell.coordination == pytest.approx(12, abs=0.05)
    assert shell.peak == pytest.approx(5.26 / np.sqrt(2), abs=0.1)
    assert shell.coordination_error < 0.05
    assert survives_json(result)


def test_a_solid_has_no_viscosity(lennard_jones):
    solid = Viscosity(temperature_K=20.0, n_runs=3, sampling=SHORT(every=2))
    with pytest.raises(ConvergenceError):
        compute(solid, bulk("Ar", cubic=True), lennard_jones)


def test_structures_without_the_property_are_refused():
    held = bulk("Ar")
    held.set_constraint(FixAtoms([0]))
    for wanted in (new_property("density_temperature"), LiquidStructure(), Viscosity()):
        with pytest.raises(StructureError):
            wanted.refuse(molecule("H2O"))
    for wanted in (Viscosity(), Melting(temperatures_K=(1.0, 2.0))):
        with pytest.raises(StructureError):
            wanted.refuse(held)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("diffusion", {"temperatures_K": ()}),
        ("diffusion", {"temperatures_K": (300.0, 300.0)}),
        ("diffusion", {"temperatures_K": (-1.0,)}),
        ("diffusion", {"sampling": Sampling(ensemble="npt_mtk")}),
        ("density_temperature", {"sampling": Sampling()}),
        ("melting", {"temperatures_K": (300.0,)}),
        ("melting", {"temperatures_K": (300.0, 400.0), "repeats": (2, 2, 1)}),
        ("viscosity", {"n_runs": 2}),
        ("diffusion", {"n_runs": 2}),
        ("viscosity", {"sampling": Sampling(ensemble="langevin")}),
        ("vibrations_md", {"max_lag_fs": 1e6}),
        ("liquid_structure", {"bin_width": 9.0}),
    ],
)
def test_parameters_out_of_range_are_refused(kind, wrong):
    with pytest.raises(ParameterError):
        new_property(kind, **wrong)


def test_parameters_survive_json():
    for wanted in (
        Diffusion(temperatures_K=(300.0, 500.0)),
        Melting(temperatures_K=(300.0, 500.0)),
        VibrationsMD(),
        Viscosity(),
    ):
        assert from_plain(json.loads(json.dumps(to_plain(wanted)))) == wanted
    with pytest.raises(ParameterError, match="samples"):
        Sampling(every=10_000)


def walks(rng, n_runs, lag_fs, diffusion_cm2_per_s):
    """Squared displacements of Brownian motion, averaged over 500 atoms a run."""
    width = np.sqrt(6 * diffusion_cm2_per_s * 10 * lag_fs / 3)
    steps = rng.standard_normal((n_runs, 500, len(lag_fs), 3))
    return ((width[:, None] * steps) ** 2).sum(-1).mean(1)


def test_brownian_motion_has_its_diffusion_coefficient():
    lag_fs = np.linspace(50.0, 4000.0, 80)
    curves = walks(np.random.default_rng(0), 6, lag_fs, 2e-5)
    value, error = slope_of_runs(lag_fs, curves, "Ar at 90 K")
    assert value == pytest.approx(2e-5, abs=4 * error)
    assert 0 < error < 0.1 * value
    # Free flight is no diffusion.
    flight = curves * lag_fs / 1000.0
    with pytest.raises(ConvergenceError, match="not yet linear"):
        slope_of_runs(lag_fs, flight, "Ar at 90 K")
