import dataclasses
import json
import math

import numpy as np
import pytest

from gnndesign.errors import JobError, ParameterError
from gnndesign.jobs.spec import JobKind, JobSpec


def test_a_spec_comes_back_from_json_bit_by_bit(argon, dynamics):
    atoms = argon()
    atoms.positions[0] = [math.pi, 1 / 3, -2.2250738585072014e-308]
    spec = dynamics(atoms, timestep_fs=0.1 + 0.2)
    again = JobSpec.from_json(spec.to_json())
    # JSON has lists only.
    assert json.loads(again.to_json()) == json.loads(spec.to_json())
    assert again.kind is JobKind.DYNAMICS
    assert again.parameters["timestep_fs"] == 0.30000000000000004
    (back,) = again.atoms()
    np.testing.assert_array_equal(back.positions, atoms.positions)
    np.testing.assert_array_equal(back.cell.array, atoms.cell.array)
    assert (back.symbols == atoms.symbols).all()


def test_a_spec_says_what_it_takes_to_run_it_again(relaxation):
    spec = relaxation()
    assert len(spec.potential_checksum) == 64
    assert {"python", "torch", "gnndesign", "ase"} <= set(spec.versions)
    assert spec.title == "relax Ar4"


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"format": None},
        {"kind": "sorcery"},
        {"unheard_of": 1},
    ],
)
def test_another_format_is_refused(relaxation, change):
    data = json.loads(relaxation().to_json()) | change
    with pytest.raises(JobError, match=r"format|job specification"):
        JobSpec.from_json(json.dumps(data))


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"format": 1}', "{"])
def test_what_is_no_spec_is_refused(text):
    with pytest.raises(JobError):
        JobSpec.from_json(text)


@pytest.mark.parametrize("value", [math.nan, object(), {1, 2}])
def test_parameters_that_json_cannot_hold_are_refused(relaxation, value):
    spec = dataclasses.replace(relaxation(), parameters={"steps": value})
    with pytest.raises(JobError, match="cannot be written"):
        spec.to_json()


def test_an_unknown_potential_is_refused_before_a_job_exists(argon):
    with pytest.raises(ParameterError, match="lennard-jones"):
        JobSpec.create(
            "relax", potential="lenard-jones", structures=[argon()], parameters={}
        )
