import json

import numpy as np
import pytest
from ase.build import bulk
from ase.spacegroup import crystal

from gnndesign.errors import ConvergenceError, ParameterError
from gnndesign.properties.catalog import new_property
from gnndesign.properties.compute import compute
from gnndesign.properties.follow_mode import FollowMode
from gnndesign.properties.phonons import Phonons
from gnndesign.properties.plain import from_plain, to_plain
from gnndesign.properties.work import Relaxing
from gnndesign.simulation.relaxation import relax
from gnndesign.structures.library import prototype

QUICK = Phonons(
    min_length=7.0,
    even_supercell=True,
    mesh_length=20.0,
    n_band_points=60,
    temperature_step_K=100.0,
)


def test_bcc_argon_ends_in_the_ground_state_of_lennard_jones(lennard_jones):
    # hcp lies a little below fcc (F. H. Stillinger, J. Chem. Phys. 115, 5208 (2001)).
    result = compute(FollowMode(phonons=QUICK), bulk("Ar", "bcc", a=4.2), lennard_jones)
    assert result.start_space_group.symbol == "Im-3m"
    assert not result.start.is_stable
    assert result.is_stable
    assert result.space_group.symbol == "P6_3/mmc"
    fcc = relax(bulk("Ar"), lennard_jones, cell="full", max_force=1e-4)
    assert result.end.force_constants.energy_per_atom < fcc.energy
    (down,) = result.rounds
    # The worst mode of bcc is at N, and slides its layers.
    assert sorted(np.abs(down.q_point)) == pytest.approx([0, 0.5, 0.5])
    gain = -np.nanmin(down.energies_meV_per_atom)
    assert result.energy_gain_meV_per_atom == pytest.approx(gain, abs=0.05)
    said = f"From Im-3m (229) to P6_3/mmc (194), {result.energy_gain_meV_per_atom:.2f}"
    assert result.notes[0].startswith(said)
    back = from_plain(json.loads(json.dumps(to_plain(result), allow_nan=False)))
    assert back.quantities() == result.quantities()


def test_there_is_nothing_to_follow_in_a_stable_crystal(lennard_jones):
    result = compute(FollowMode(phonons=QUICK), bulk("Ar"), lennard_jones)
    assert result.rounds == ()
    assert result.energy_gain_meV_per_atom == 0
    assert "no mode to follow" in result.notes[0]


def test_relaxations_that_all_fail_give_no_structure(lennard_jones):
    short = FollowMode(phonons=QUICK, relaxing=Relaxing(max_steps=1, max_force=1e-6))
    with pytest.raises(ConvergenceError, match="None of 8 relaxations"):
        compute(short, bulk("Ar", "bcc", a=4.2), lennard_jones)


@pytest.mark.slow
def test_cubic_calcium_titanate_ends_in_the_orthorhombic_phase_or_lower(sevennet_0):
    result = compute(FollowMode(), prototype("perovskite").to_atoms(), sevennet_0)
    assert result.start.min_frequency_THz < -5
    assert result.is_stable
    assert len(result.atoms) == 20
    # Experiment: S. Sasaki et al., Acta Cryst. C 43, 1668 (1987).
    orthorhombic = crystal(
        ["Ca", "Ti", "O", "O"],
        [
            (0.036, 0.25, 0.993),
            (0, 0, 0.5),
            (0.484, 0.25, 0.071),
            (0.289, 0.037, 0.711),
        ],
        spacegroup=62,
        cellpar=[5.44, 7.64, 5.38, 90, 90, 90],
    )
    known = relax(
        orthorhombic, sevennet_0, cell="full", max_force=1e-3, fix_symmetry=True
    )
    energy = result.end.force_constants.energy_per_atom
    assert energy < known.energy / 20 + 1e-4
    assert 50 < result.energy_gain_meV_per_atom < 100


@pytest.mark.parametrize(
    "wrong",
    [
        {"amplitudes": ()},
        {"amplitudes": (2.0,)},
        {"max_rounds": 0},
        {"relaxing": to_plain(Relaxing(fix_symmetry=True))},
    ],
)
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ParameterError):
        new_property("follow_mode", **wrong)
