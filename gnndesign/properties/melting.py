"""Melting temperature by coexistence of crystal and liquid in one cell.

J. R. Morris, C. Z. Wang, K. M. Ho and C. T. Chan, Phys. Rev. B 49, 3109 (1994), in the form
with constant temperature and pressure: half of a cell is molten, and at each of several
temperatures, side by side, the phase that is stable there grows until it fills the cell.
The melting temperature is between the highest at which the crystal wins and the lowest at
which the liquid does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import ase
import numpy as np
from annotated_types import Interval
from ase.constraints import FixAtoms
from jaxtyping import Float

from gnndesign.errors import ConvergenceError, ParameterError, StructureError
from gnndesign.potentials.base import Potential
from gnndesign.properties.base import Property, Quantity, Steps, Work, quantities_of
from gnndesign.properties.bounds import Count, Pressure, Temperature, check_bounds
from gnndesign.properties.crystal_order import CrystalOrder
from gnndesign.properties.phase_competition import Competition, bracket, winner
from gnndesign.properties.sampling import (
    CONSTANT_PRESSURE,
    Sampling,
    ascending,
    check_finished,
)
from gnndesign.simulation.dynamics import dynamics_stepper

_ROOM = 0.1
"""Part by which the half to be molten is stretched."""
_MOLTEN = 0.35
"""Order of a half that passes for a liquid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeltingResult:
    """Between which temperatures a crystal melts.

    Attributes:
        melting_K: the middle between the two below.
        melting_error_K: half their distance; the melting temperature of this cell is
            within, which is no standard error.
        solid_K: highest temperature at which the crystal won.
        liquid_K: lowest temperature at which the liquid won.
        temperatures_K: (n_temperatures,).
        winners: (n_temperatures,) "solid", "liquid" or "undecided".
        time_ps: (n_samples,).
        order: (n_temperatures, n_samples) of the half molten cell, see `CrystalOrder`.
        order_of_solid: (n_temperatures, n_samples) of the crystal alone.
        atomic_volumes: (n_temperatures, n_samples) Å³, of the half molten cell.
        n_atoms: of the cell.
        notes: what to know beside the numbers.
    """

    melting_K: float
    melting_error_K: float
    solid_K: float
    liquid_K: float
    temperatures_K: Float[np.ndarray, " n_temperatures"]
    winners: tuple[str, ...]
    time_ps: Float[np.ndarray, " n_samples"]
    order: Float[np.ndarray, "n_temperatures n_samples"]
    order_of_solid: Float[np.ndarray, "n_temperatures n_samples"]
    atomic_volumes: Float[np.ndarray, "n_temperatures n_samples"]
    n_atoms: int
    notes: tuple[str, ...] = ()

    def quantities(self) -> tuple[Quantity, ...]:
        """For a table."""
        named = {
            "melting_K": "Melting temperature",
            "melting_error_K": "Half width of its bracket",
        }
        return quantities_of(self, ((name, "K", key) for key, name in named.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Melting(Property[MeltingResult]):
    """Melting temperature of a crystal, given as a unit cell.

    Attributes:
        temperatures_K: two or more around the one expected; the closer, the narrower
            the bracket, and the longer it takes to see who wins.
        repeats: of the unit cell; the third at least twice as long as the others.
        melt_K: at which half of the cell is molten; None for 3 times the highest.
        melt_ps: ps for that.
        pressure_GPa: positive under compression.
        sampling: how long they compete, and how.
    """

    kind: ClassVar[str] = "melting"
    title: ClassVar[str] = "Melting temperature"

    temperatures_K: tuple[Temperature, ...]
    repeats: tuple[Count, Count, Count] = (4, 4, 8)
    melt_K: Temperature | None = None
    melt_ps: Annotated[float, Interval(gt=0, le=1e6)] = 5.0
    pressure_GPa: Pressure = 0.0
    sampling: Sampling = field(
        default_factory=lambda: Sampling(
            timestep_fs=2.0,
            every=100,
            equilibration_ps=0.0,
            production_ps=100.0,
            ensemble="npt_mtk",
        )
    )

    def __post_init__(self) -> None:
        check_bounds(self)
        object.__setattr__(
            self, "temperatures_K", ascending(self.temperatures_K, at_least=2)
        )
        object.__setattr__(self, "repeats", tuple(self.repeats))
        if len(self.repeats) != 3 or self.repeats[2] < 2:
            raise ParameterError(
                "Wanted three repeats, the third >= 2, of which half is molten, "
                f"got {self.repeats}."
            )
        self.sampling.require(CONSTANT_PRESSURE, "Melting")

    def refuse(self, atoms: ase.Atoms) -> None:
        """Only a crystal melts."""
        if not atoms.pbc.all() or atoms.constraints:
            raise StructureError(
                "Melting wants the unit cell of a crystal, with pbc along three axes and "
                f"no constraints, got pbc {atoms.pbc.tolist()} and "
                f"{len(atoms.constraints)} constraints."
            )

    def steps(self, atoms: ase.Atoms, potential: Potential) -> Steps[MeltingResult]:
        """Melt half, let both phases compete, see who wins."""
        del potential
        order = CrystalOrder.of(atoms, self.repeats)
        crystal = atoms.repeat(self.repeats)
        half = yield from self._half_molten(crystal, order)
        n = len(self.temperatures_K)
        watched = Competition(order, n_structures=2 * n)
        temperatures = 2 * self.temperatures_K
        barostat = {"pressure_GPa": self.pressure_GPa, "cell": "full"}
        sampling = self.sampling
        ends = yield Work(
            stepper=sampling.stepper(
                sampling.ensemble, temperatures, sampling.seed, barostat
            ),
            structures=[half] * n + [crystal] * n,
            max_steps=sampling.n_steps(sampling.production_ps),
            every=sampling.every,
            on_snapshot=watched,
        )
        for end, heat in zip(ends, temperatures, strict=True):
            check_finished(end, heat)
        orders, volumes = np.array(watched.orders), np.array(watched.volumes)
        return _melting_result(
            np.array(self.temperatures_K),
            orders[:n],
            orders[n:],
            volumes[:n] / len(crystal),
            n_atoms=len(crystal),
            time_ps=1e-3 * sampling.sample_fs * np.arange(orders.shape[1]),
        )

    def _half_molten(self, crystal: ase.Atoms, order: CrystalOrder) -> Steps[ase.Atoms]:
        """The crystal, the upper half of which is molten while the lower is held."""
        upper = crystal.get_scaled_positions()[:, 2] >= 0.5
        held = crystal.copy()
        # A liquid needs more room, and melts the sooner where it has it.
        height = held.get_scaled_positions()[:, 2:]
        held.positions += _ROOM * np.maximum(height - 0.5, 0.0) * crystal.cell.array[2]
        held.set_cell(crystal.cell.array * [[1.0], [1.0], [1.0 + _ROOM / 2]])
        held.set_constraint(FixAtoms(mask=~upper))
        hot = self.melt_K or 3.0 * self.temperatures_K[-1]
        # The faster the atoms, the shorter the steps.
        slower = (self.temperatures_K[-1] / hot) ** 0.5
        timestep_fs = self.sampling.timestep_fs * min(1.0, slower)
        n_steps = round(1e3 * self.melt_ps / timestep_fs)
        stepper = dynamics_stepper(
            "langevin",
            temperature_K=hot,
            timestep_fs=timestep_fs,
            seed=self.sampling.seed + 1,
        )
        (end,) = yield Work(
            stepper=stepper, structures=[held], max_steps=n_steps, every=n_steps
        )
        check_finished(end, hot)
        held = end.atoms
        # Away from the crystal, which keeps the layers next to it in order.
        height = held.get_scaled_positions()[:, 2]
        within = (height > 0.6) & (height < 0.9)
        left = order(held.positions[within], held.cell.array)
        if left > _MOLTEN:
            raise ConvergenceError(
                f"Half of the cell did not melt at {hot:g} K in {self.melt_ps:g} ps: it "
                f"still has {left:.2f} of the order of the crystal. Raise melt_K or "
                "melt_ps."
            )
        molten = held.copy()
        molten.set_constraint()
        # Momenta are drawn anew at each temperature: here one half is hot, one at rest.
        del molten.arrays["momenta"]
        return molten


def _melting_result(
    temperatures_K: Float[np.ndarray, " n"],
    order: Float[np.ndarray, "n n_samples"],
    of_solid: Float[np.ndarray, "n n_samples"],
    atomic_volumes: Float[np.ndarray, "n n_samples"],
    *,
    n_atoms: int,
    time_ps: Float[np.ndarray, " n_samples"],
) -> MeltingResult:
    winners = tuple(map(winner, order, of_solid))
    low, high = bracket(temperatures_K.tolist(), winners)
    small = (
        f"A cell of {n_atoms} atoms: its melting temperature differs from that of a large "
        "crystal by some percent, either way, and chance decides near it."
    )
    notes = [small]
    if "undecided" in winners:
        open_at = [
            f"{heat:g} K"
            for heat, who in zip(temperatures_K, winners, strict=True)
            if who == "undecided"
        ]
        notes.append(f"Nothing is decided at {', '.join(open_at)}: run longer.")
    return MeltingResult(
        melting_K=(low + high) / 2,
        melting_error_K=(high - low) / 2,
        solid_K=low,
        liquid_K=high,
        temperatures_K=temperatures_K,
        winners=winners,
        time_ps=time_ps,
        order=order,
        order_of_solid=of_solid,
        atomic_volumes=atomic_volumes,
        n_atoms=n_atoms,
        notes=tuple(notes),
    )
