"""What was typed becomes a property, and a property what one would type."""

import ase.build
import ase.io
import pytest

from gnndesign.properties.adhesion import Adhesion
from gnndesign.properties.adsorption import Adsorption
from gnndesign.properties.catalog import PROPERTIES, property_class
from gnndesign.properties.defects import PointDefects
from gnndesign.properties.diffraction import Diffraction
from gnndesign.properties.dissociation import Dissociation
from gnndesign.properties.elasticity import Elasticity
from gnndesign.properties.energy_above_hull import EnergyAboveHull
from gnndesign.properties.fields import flat_fields
from gnndesign.properties.follow_mode import FollowMode
from gnndesign.properties.formation import Cohesion
from gnndesign.properties.from_text import (
    parameters_from_text,
    property_from_text,
    texts_of,
)
from gnndesign.properties.melting import Melting
from gnndesign.properties.phonons import Phonons
from gnndesign.properties.reaction_path import ReactionPath
from gnndesign.properties.sampling import Sampling
from gnndesign.properties.transport import Diffusion
from gnndesign.properties.work import Relaxing

MOLECULE = ase.build.molecule("CO")
SLAB = ase.build.fcc111("Cu", (1, 1, 3), vacuum=8.0)


@pytest.fixture
def save(tmp_path):
    def write(name, structures):
        path = tmp_path / f"{name}.traj"
        ase.io.write(path, list(structures))
        return str(path)

    return write


@pytest.mark.parametrize(
    "wanted",
    [
        Elasticity(degree=2, normal_strains=(-1e-3, 1e-3), relaxing=None),
        Phonons(supercell=((2, 0, 0), (0, 2, 0), (1, 0, 3)), symprec=1e-7 / 3),
        Phonons(supercell=(2, 2, 4), relaxing=Relaxing(cell=None, method="fire")),
        FollowMode(phonons=Phonons(relaxing=None), amplitudes=(0.2,), seed=7),
        PointDefects(substitutions=("Na", "K"), vacancies=False, larger_length=15.0),
        Diffraction(radiation=1.2, two_theta_range_deg=(1.0, 2.0)),
        Diffraction(radiation="MoKa"),
        Dissociation(distances=(1.0, 1.5, 2.0, 3.0, 5.0)),
        Cohesion(relaxing=Relaxing(pressure_GPa=-1.5, fix_symmetry=True)),
        Diffusion(sampling=Sampling(production_ps=12.5, ensemble="langevin")),
        Melting(temperatures_K=(900.0, 1000.0), repeats=(2, 2, 4), melt_K=3000.0),
        Adsorption(molecule=MOLECULE, sites=("ontop",)),
        Adhesion(upper=SLAB, shifts=((0.0, 0.0), (0.5, 0.25)), cell="upper"),
        ReactionPath(end=SLAB, climb=False),
        EnergyAboveHull(
            competing=(ase.build.bulk("Cu"), ase.build.bulk("NaCl", "rocksalt", a=5.6))
        ),
    ],
    ids=lambda wanted: wanted.kind,
)
def test_what_is_typed_back_is_the_same_property(wanted, save):
    texts = texts_of(wanted, save)
    assert texts
    assert set(texts) <= set(flat_fields(type(wanted)))
    assert property_from_text(wanted.kind, texts) == wanted


COMPLETE = [
    kind
    for kind in PROPERTIES
    if not any(field.required for field in flat_fields(property_class(kind)).values())
]


@pytest.mark.parametrize("kind", COMPLETE)
def test_what_has_its_default_need_not_be_typed(kind, save):
    assert texts_of(property_class(kind)(), save) == {}


def test_other_defaults_are_those_that_are_left_out(save):
    coarse = Relaxing(max_force=0.05, max_steps=200)
    wanted = Relaxing(max_force=0.05, max_steps=1000)
    texts = texts_of(wanted, save, coarse)
    assert texts == {"max_steps": "1000"}
    assert parameters_from_text(Relaxing, texts, "relaxing", coarse) == wanted
