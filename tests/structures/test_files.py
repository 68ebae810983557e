"""Loading and saving: real files, damaged files, unsafe files."""

import gzip
import json
import pickle
import time
from pathlib import Path

import ase
import ase.build
import ase.io
import numpy as np
import pytest
from ase.constraints import FixAtoms
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem import AllChem

from gnndesign.errors import StructureError
from gnndesign.structures.convert import to_pymatgen
from gnndesign.structures.files import (
    load_structure,
    load_structures,
    load_uploaded,
    save_structure,
)

DATA = Path(__file__).parent.parent / "data" / "structures"

POSCAR = """two atoms
1.0
4.0 0.0 0.0
0.0 4.0 0.0
0.0 0.0 4.0
Na Cl
1 1
Selective dynamics
Direct
0.0 0.0 0.0 F F F
0.5 0.5 0.5 T T T
"""

CIF = """data_iron_nickel
_cell_length_a 3.5
_cell_length_b 3.5
_cell_length_c 3.5
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P m -3 m'
_chemical_formula_sum '{formula}'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
{sites}
"""


@pytest.fixture(autouse=True)
def silence(capfd):
    """A loader prints nothing, whatever the file; RDKit writes past sys.stderr."""
    yield
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err == ""


def refusal(name: str, text: str | bytes) -> str:
    content = text.encode() if isinstance(text, str) else text
    with pytest.raises(StructureError) as caught:
        load_uploaded(name, content)
    return str(caught.value)


def is_one_sentence(message: str) -> bool:
    return "\n" not in message and "Traceback" not in message and len(message) < 600


def test_cif_that_ase_cannot_read_is_read():
    atoms = load_structure(DATA / "KMnF3_dots_for_zeros.cif")
    assert len(atoms) == 5
    assert atoms.pbc.all()


def test_disordered_cif_is_refused_and_its_site_named():
    with pytest.raises(StructureError, match=r"Cu2 is 0.4 Cu.*order it first"):
        load_structure(DATA / "Cu7Te5_disordered.cif")


def test_shared_site_is_refused_with_both_elements():
    sites = "Fe1 Fe 0 0 0 0.5\nNi1 Ni 0 0 0 0.5"
    message = refusal("alloy.cif", CIF.format(formula="Fe0.5 Ni0.5", sites=sites))
    assert "0.5 Fe" in message
    assert "0.5 Ni" in message


def test_refined_occupancy_close_to_one_is_a_whole_atom():
    text = CIF.format(formula="Fe", sites="Fe1 Fe 0 0 0 0.997(4)")
    (atoms,) = load_uploaded("iron.cif", text.encode())
    assert atoms.symbols.get_chemical_formula() == "Fe"


def test_cif_without_its_hydrogen_is_refused_and_loads_when_asked_for():
    path = DATA / "NH4Cl_without_hydrogen.cif"
    with pytest.raises(StructureError, match="hydrogen atoms are not listed"):
        load_structure(path)
    assert len(load_structure(path, strict=False)) == 8


def test_atoms_on_top_of_each_other_are_refused():
    sites = "Fe1 Fe 0 0 0 1\nFe2 Fe 0.01 0 0 1"
    message = refusal("x.cif", CIF.format(formula="?", sites=sites))
    assert "Å apart" in message


def test_large_cell_is_read_in_seconds(tmp_path):
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.64, cubic=True).repeat(8)
    atoms.rattle(0.05, seed=0)
    save_structure(atoms, tmp_path / "large.cif")
    start = time.perf_counter()
    again = load_structure(tmp_path / "large.cif")
    assert time.perf_counter() - start < 10.0
    np.testing.assert_array_equal(
        np.bincount(again.numbers), np.bincount(atoms.numbers)
    )
    assert again.cell.volume == pytest.approx(atoms.cell.volume)


def test_unknown_space_group_is_not_taken_as_p1():
    text = CIF.format(formula="?", sites="Fe1 Fe 0.1 0.2 0.3 1")
    message = refusal("x.cif", text.replace("P m -3 m", "Q 9 x"))
    assert "space group" in message


@pytest.mark.parametrize("name", ["P2_1/n", "P2₁/n", "P 21/n", "P 1 21/n 1"])
def test_spellings_of_a_monoclinic_space_group_give_the_same_atoms(name):
    text = CIF.format(formula="Fe", sites="Fe1 Fe 0.1 0.2 0.3 1")
    text = text.replace("P m -3 m", name).replace("beta 90", "beta 100")
    (atoms,) = load_uploaded("iron.cif", text.encode())
    assert len(atoms) == 4


def test_two_data_blocks_need_a_choice():
    assert len(load_structures(DATA / "two_blocks.cif")) == 2
    with pytest.raises(StructureError, match=r"holds 2 structures.*load_structures"):
        load_structure(DATA / "two_blocks.cif")


def test_magnetic_cif_gives_the_magnetic_cell_with_opposite_moments():
    atoms = load_structure(DATA / "NiO_magnetic.mcif")
    moments = atoms.get_initial_magnetic_moments()
    assert len(atoms) == 64
    assert np.abs(moments).max() > 0.5
    np.testing.assert_allclose(moments.sum(axis=0), 0.0, atol=1e-6)


def test_flat_cell_in_a_compressed_file_is_refused():
    with pytest.raises(StructureError, match="lie in a plane"):
        load_structure(DATA / "flat_cell.cif.gz")


def test_selective_dynamics_survive_loading_and_saving(tmp_path):
    (atoms,) = load_uploaded("POSCAR", POSCAR.encode())
    assert [c.get_indices().tolist() for c in atoms.constraints] == [[0]]
    save_structure(atoms, tmp_path / "CONTCAR")
    again = load_structure(tmp_path / "CONTCAR")
    assert [c.get_indices().tolist() for c in again.constraints] == [[0]]


def test_old_poscar_takes_elements_from_labels_behind_coordinates():
    atoms = load_structure(DATA / "POSCAR_labels_behind_coordinates")
    assert atoms.get_chemical_formula() == "Br3CsSn"


def test_old_poscar_without_elements_is_refused_rather_than_guessed():
    with pytest.raises(StructureError, match="names no elements"):
        load_structure(DATA / "POSCAR_without_elements")


@pytest.mark.parametrize(
    ("line", "new", "expected"),
    [
        (2, "one", "line 2: wanted one or three scale factors"),
        (4, "0.0 4.0", "line 4: wanted a lattice vector"),
        (6, "Na Qq", "line 6: wanted element symbols"),
        (7, "1", "line 7: wanted 2 whole numbers"),
        (9, "elsewhere", "line 9: wanted Direct or Cartesian"),
        (11, "0.5 half 0.5", "line 11: wanted three coordinates of atom 2 of 2"),
    ],
)
def test_bad_poscar_names_the_line(line, new, expected):
    lines = POSCAR.splitlines()
    lines[line - 1] = new
    assert expected in refusal("POSCAR", "\n".join(lines))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("two\n\nH 0 0 0\nH 0 0 1\n", "line 1: wanted the number of atoms"),
        ("3\n\nH 0 0 0\nH 0 0 1\n", "promises 3 atoms; the file ends after 2"),
        ("2\n\nH 0 0 0\nH 0 zero 1\n", "line 4: wanted an element and x, y, z"),
        ("1\n\nH 0 0 nan\n", "wanted finite Å"),
        ("1\n\nQq 0 0 0\n", "Cannot read 'x.xyz'"),
    ],
)
def test_bad_xyz_names_the_line(text, expected):
    assert expected in refusal("x.xyz", text)


def test_molecules_are_not_periodic_and_crystals_are():
    assert not load_structure(DATA / "acetylene.xyz").pbc.any()
    assert load_structure(DATA / "Ti2O5.xsf").pbc.all()
    assert load_structure(DATA / "EDI.cssr").pbc.all()


def test_last_frame_of_a_trajectory_is_the_structure(tmp_path):
    frames = [ase.build.molecule("H2O") for _ in range(3)]
    frames[2].rattle(0.1, seed=1)
    ase.io.write(tmp_path / "run.xyz", frames, format="extxyz")
    atoms = load_structure(tmp_path / "run.xyz")
    np.testing.assert_allclose(atoms.positions, frames[2].positions, atol=1e-7)
    assert len(load_structures(tmp_path / "run.xyz")) == 3


def test_different_molecules_in_one_xyz_need_a_choice(tmp_path):
    frames = [ase.build.molecule("H2O"), ase.build.molecule("NH3")]
    ase.io.write(tmp_path / "two.xyz", frames)
    with pytest.raises(StructureError, match="holds 2 structures"):
        load_structure(tmp_path / "two.xyz")


def test_flat_drawing_of_a_molecule_is_refused():
    mol = Chem.MolFromSmiles("CCCCO")
    AllChem.Compute2DCoords(mol)
    assert "flat drawing" in refusal("drawing.mol", Chem.MolToMolBlock(mol))


def test_sdf_with_two_molecules_is_read_with_hydrogen():
    blocks = []
    for smiles in ("CCO", "CN"):
        mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
        AllChem.EmbedMolecule(mol, randomSeed=0)
        blocks.append(Chem.MolToMolBlock(mol) + "$$$$\n")
    first, second = load_uploaded("two.sdf", "".join(blocks).encode())
    assert first.get_chemical_formula() == "C2H6O"
    assert second.get_chemical_formula() == "CH5N"


PDB_ATOM = "HETATM    1  O  {a}HOH A   1       0.000   0.000   0.000{occ:6.2f}  0.00"
PDB_ATOM += "           O\n"


def test_pdb_of_a_crystal_holds_only_its_asymmetric_unit():
    cell = "CRYST1    9.643    9.609   19.029  90.00 101.22  90.00 P 1 21 1      2\n"
    atom = PDB_ATOM.format(a=" ", occ=1.0)
    assert "asymmetric unit" in refusal("x.pdb", cell + atom)
    p1 = cell.replace("P 1 21 1 ", "P 1      ")
    assert load_uploaded("x.pdb", (p1 + atom).encode())[0].pbc.all()
    assert not load_uploaded("x.pdb", atom.encode())[0].pbc.any()


def test_pdb_with_alternate_atoms_is_refused():
    assert "disordered" in refusal("x.pdb", PDB_ATOM.format(a="B", occ=1.0))
    assert "disordered" in refusal("x.pdb", PDB_ATOM.format(a=" ", occ=0.5))


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("name", ["x.pkl", "x.pickle", "x.pckl", "x.traj", "x.pkl.gz"])
def test_pickles_are_never_opened(tmp_path, name):
    trap = tmp_path / "sprung"
    content = pickle.dumps(Trap(trap))
    content = gzip.compress(content, mtime=0) if name.endswith(".gz") else content
    assert "can run code" in refusal(name, content)
    assert not trap.exists()


def test_json_of_pymatgen_imports_nothing_that_the_file_names():
    data = to_pymatgen(ase.build.bulk("NaCl", "rocksalt", a=5.64))
    content = json.loads(data.to_json())
    content["sites"][0]["properties"] = {
        "x": {"@module": "subprocess", "@class": "Popen", "args": ["false"]}
    }
    (atoms,) = load_uploaded("x.json", json.dumps(content).encode())
    assert atoms.get_chemical_formula() == "ClNa"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("empty.cif", b"  \n", "is empty"),
        ("x.cif", b"data_x\n_cell_length_a 3\n", "holds no atoms"),
        ("x.cif", b"a\0b", "binary"),
        ("x.cif.gz", b"not gzip", "Cannot decompress"),
        (
            "x.cif.gz",
            gzip.compress(b"data_x " * 99, mtime=0)[:-20] + b"x" * 30,
            "Cannot decomp",
        ),
        ("x.json", b'{"a": 1}', "not a structure"),
        ("x.json", b'{"a": ', "line 1"),
        ("notes.txt", b"hello", "Cannot tell the format"),
        ("x.mol", b"nothing\n", "not a MOL block"),
        ("POSCAR", b"a\n1", "has 2 lines"),
    ],
)
def test_bad_files_give_one_sentence_that_names_the_file(name, content, expected):
    message = refusal(name, content)
    assert expected in message
    assert name in message
    assert is_one_sentence(message)


def test_absent_file_and_folder_give_a_sentence(tmp_path):
    with pytest.raises(StructureError, match="No such file"):
        load_structure(tmp_path / "absent.cif")
    with pytest.raises(StructureError, match="Is a directory"):
        load_structure(tmp_path)
    with pytest.raises(StructureError, match="does not exist"):
        save_structure(ase.build.molecule("H2"), tmp_path / "absent" / "x.xyz")


def test_format_is_recognized_by_content_where_the_name_is_silent():
    assert len(load_uploaded("structure", POSCAR.encode())[0]) == 2
    xyz = (DATA / "acetylene.xyz").read_bytes()
    assert len(load_uploaded("structure.txt", xyz)[0]) == 4


@pytest.mark.parametrize(
    "name", ["x.cif", "x.vasp", "POSCAR", "x.xyz", "x.extxyz", "x.xsf", "x.json"]
)
def test_a_saved_crystal_loads_as_it_was(tmp_path, name):
    atoms = ase.build.bulk("ZnS", "wurtzite", a=3.82, c=6.26)
    atoms.rattle(0.05, seed=3)
    save_structure(atoms, tmp_path / name)
    again = load_structure(tmp_path / name)
    assert again.pbc.all()
    np.testing.assert_allclose(again.cell.cellpar(), atoms.cell.cellpar(), atol=1e-6)
    np.testing.assert_allclose(
        np.sort(again.get_all_distances(mic=True).ravel()),
        np.sort(atoms.get_all_distances(mic=True).ravel()),
        atol=1e-6,
    )
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_failed_saving_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.cif"
    path.write_text("old")
    with pytest.raises(StructureError, match="needs a cell"):
        save_structure(ase.build.molecule("H2O"), path)
    assert path.read_text() == "old"
    with pytest.raises(StructureError, match=r"Cannot save as 'x\.doc'"):
        save_structure(ase.build.molecule("H2O"), tmp_path / "x.doc")


def test_loaded_atoms_are_a_copy():
    atoms = ase.build.molecule("H2O")
    loaded = load_structure(atoms)
    loaded.positions += 1.0
    assert not np.allclose(atoms.positions, loaded.positions)


@pytest.mark.parametrize(
    "name",
    ["KMnF3_dots_for_zeros.cif", "acetylene.xyz", "Ti2O5.xsf", "EDI.cssr", "POSCAR"],
)
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_damaged_file_gives_structures_or_one_sentence(name, data):
    whole = POSCAR.encode() if name == "POSCAR" else (DATA / name).read_bytes()
    start = data.draw(st.integers(0, len(whole)))
    length = data.draw(st.integers(0, 40))
    patch = data.draw(st.binary(max_size=8))
    damaged = whole[:start] + patch + whole[start + length :]
    if data.draw(st.booleans()):
        damaged = damaged[: data.draw(st.integers(0, len(damaged)))]
    try:
        structures, message = load_uploaded(name, damaged), ""
    except StructureError as error:
        structures, message = [], str(error)
    assert is_one_sentence(message)
    assert structures or message
    assert all(np.isfinite(s.positions).all() and len(s) for s in structures)


def test_fixed_atoms_survive_extended_xyz(tmp_path):
    atoms = ase.build.bulk("Cu", cubic=True)
    atoms.set_constraint(FixAtoms([1]))
    save_structure(atoms, tmp_path / "x.xyz")
    again = load_structure(tmp_path / "x.xyz")
    assert [list(c.get_indices()) for c in again.constraints] == [[1]]
