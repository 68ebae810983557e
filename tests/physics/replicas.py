"""Averages over independent replicas, and their standard errors."""

from dataclasses import dataclass

import numpy as np

from gnndesign.simulation.base import Status
from gnndesign.simulation.room import Room
from gnndesign.simulation.run import run
from gnndesign.units import EV_PER_A3_TO_GPA


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Moments of replicas, all (n_moments, n_replicas, ...), in eV and Å.

    `pressure` is the internal one, (..., 3, 3) eV/Å³, with its kinetic part.
    """

    energy: np.ndarray
    kinetic_energy: np.ndarray
    volume: np.ndarray
    cell: np.ndarray
    pressure: np.ndarray

    @property
    def internal_pressure(self):
        """(n_moments, n_replicas) GPa."""
        return EV_PER_A3_TO_GPA * np.trace(self.pressure, axis1=2, axis2=3) / 3

    def of(self, replicas):
        """Some of the replicas."""
        return Samples(
            **{name: getattr(self, name)[:, replicas] for name in self.__slots__}
        )


def sample(stepper, potential, structures, *, steps, every, skip):
    """Let replicas run; moments before `skip` steps are left out."""
    kept = {name: [] for name in Samples.__slots__}
    going = run(
        stepper,
        potential,
        structures,
        max_steps=steps,
        every=every,
        room=Room(),
    )
    for moment in going:
        if moment.step[0] <= skip:
            continue
        assert moment.status[0] in (Status.RUNNING, Status.FINISHED), moment.messages
        assert len(moment.ids) == len(structures)
        n = len(moment.ids)
        momenta = moment.momenta.reshape(n, -1, 3)
        masses = np.array([atoms.get_masses() for atoms in structures])
        flow = np.einsum("nai,naj->nij", momenta / masses[:, :, None], momenta)
        kept["pressure"].append(flow / moment.volume[:, None, None] - moment.stress)
        for name in ("energy", "kinetic_energy", "volume", "cell"):
            kept[name].append(getattr(moment, name))
    return Samples(**{name: np.array(values) for name, values in kept.items()})


def mean_and_error(values):
    """Mean over moments and replicas; its error, from replicas as independent ones."""
    each = values.mean(0)
    return each.mean(0), each.std(0, ddof=1) / np.sqrt(len(each))
