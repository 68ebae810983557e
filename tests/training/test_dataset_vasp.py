"""VASP's files: every ionic step, kbar turned to eV/Å³ with the sign of tension."""

import gzip

import numpy as np
import pytest

from gnndesign.errors import StructureError
from gnndesign.training.dataset_files import load_dataset
from gnndesign.units import EV_PER_A3_TO_GPA

CELL = "<v> 4.0 0.0 0.0 </v><v> 0.0 4.0 0.0 </v><v> 0.0 0.0 5.0 </v>"


def varray(name, rows):
    lines = "".join(f"<v> {a} {b} {c} </v>" for a, b, c in rows)
    return f'<varray name="{name}">{lines}</varray>'


def structure(z):
    positions = varray("positions", [(0, 0, 0), (0.5, 0.5, z)])
    crystal = f'<crystal><varray name="basis">{CELL}</varray></crystal>'
    return f"<structure>{crystal}{positions}</structure>"


def step(z, energy, pull, stress_kbar):
    energies = "".join(
        f'<i name="{name}"> {value} </i>'
        for name, value in (
            ("e_fr_energy", energy),
            ("e_wo_entrp", energy + 0.02),
            ("e_0_energy", energy + 0.01),
        )
    )
    return (
        f"<calculation><scstep><energy>{energies}</energy></scstep>{structure(z)}"
        f"{varray('forces', [(0, 0, pull), (0, 0, -pull)])}"
        f"{varray('stress', np.array(stress_kbar).tolist())}"
        f"<energy>{energies}</energy></calculation>"
    )


def vasprun(steps):
    atoms = "<rc><c>Na</c><c>1</c></rc><rc><c>Cl</c><c>2</c></rc>"
    start = structure(0.5).replace("<structure>", '<structure name="initialpos">')
    return (
        '<?xml version="1.0"?><modeling><generator><i name="version">6.3</i>'
        '</generator><kpoints><varray name="kpointlist"><v> 0 0 0 </v></varray>'
        '<varray name="weights"><v> 1.0 </v></varray></kpoints>'
        "<parameters></parameters><atominfo><atoms>2</atoms>"
        f'<array name="atoms"><set>{atoms}</set></array></atominfo>'
        f"{start}{''.join(steps)}</modeling>"
    )


# Compressed along z by 80 kbar, pulled along x by 20, sheared in xy.
STRESS = [[-20.0, 5.0, 0.0], [5.0, 0.0, 0.0], [0.0, 0.0, 80.0]]


def test_vasprun_gives_every_step_in_our_units_and_sign(tmp_path):
    content = vasprun([step(0.5, -7.0, 0.0, STRESS), step(0.48, -6.9, 0.3, STRESS)])
    (tmp_path / "vasprun.xml.gz").write_bytes(gzip.compress(content.encode()))
    dataset = load_dataset(tmp_path / "vasprun.xml.gz", level_of_theory="PBE")
    assert len(dataset) == 2
    assert dataset.elements == (11, 17)
    # The free energy, of which forces are the gradient, not that at zero smearing.
    assert dataset.energy.tolist() == [-7.0, -6.9]
    np.testing.assert_allclose(dataset.forces[1], [[0, 0, 0.3], [0, 0, -0.3]])
    np.testing.assert_allclose(dataset.structures[1].positions[1], [2, 2, 2.4])
    expected = -0.1 / EV_PER_A3_TO_GPA * np.array(STRESS)
    np.testing.assert_allclose(dataset.stress[0], expected, rtol=1e-5)
    assert dataset.stress[0, 2, 2] < 0 < dataset.stress[0, 0, 0]
    summary = dataset.summary()
    assert summary.pressure_GPa == pytest.approx((2.0, 2.0), rel=1e-5)
    assert summary.level_of_theory == "PBE"


def test_a_unit_of_stress_that_is_said_is_not_applied_to_vasp_again(tmp_path):
    path = tmp_path / "vasprun.xml"
    path.write_text(vasprun([step(0.5, -7.0, 0.0, STRESS)]))
    said = load_dataset(path, stress_unit="kbar")
    assert said.checksum == load_dataset(path).checksum


def test_a_cell_that_vasp_compressed_very_far_is_no_mistake_in_units(tmp_path):
    path = tmp_path / "vasprun.xml"
    path.write_text(vasprun([step(0.5, -7.0, 0.0, np.eye(3) * 30_000)]))
    assert load_dataset(path).stress[0, 0, 0] == pytest.approx(-18.7, rel=1e-2)


def test_a_broken_off_file_is_refused_in_a_sentence(tmp_path):
    path = tmp_path / "vasprun.xml"
    path.write_text(vasprun([step(0.5, -7.0, 0.0, STRESS)])[:700])
    with pytest.raises(StructureError, match=r"vasprun\.xml"):
        load_dataset(path)
