"""Properties as a job: every outcome is on disk at once and never computed again."""

import pytest
from ase.build import bulk, molecule

from gnndesign.errors import CheckpointError
from gnndesign.jobs.local import resume, submit, wait
from gnndesign.jobs.properties import (
    OutcomesReader,
    OutcomesWriter,
    outcomes_file,
    properties_of,
    properties_parameters,
    read_outcomes,
    structure_names,
)
from gnndesign.jobs.spec import JobSpec
from gnndesign.jobs.states import JobState
from gnndesign.jobs.store import JobStore
from gnndesign.properties.compute import compute
from gnndesign.properties.equation_of_state import EquationOfState
from gnndesign.properties.outcomes import Outcome, PropertyStatus
from gnndesign.properties.plain import to_plain
from gnndesign.properties.work import Relaxing

FEW = EquationOfState(n_points=5)


def spec_of(structures, properties=(FEW,), potential="lennard-jones"):
    return JobSpec.create(
        "properties",
        potential=potential,
        structures=structures,
        parameters=properties_parameters(properties),
        device="cpu",
    )


def argons(n):
    """Crystals whose relaxations take different numbers of steps."""
    made = [bulk("Ar", a=5.3 + 0.05 * k, cubic=True) for k in range(n)]
    for k, atoms in enumerate(made):
        atoms.rattle(0.02 * (k + 1), seed=k)
    return made


def outcome(structure=0, **fields):
    given = {
        "kind": "equation_of_state",
        "formula": "Ar",
        "potential": "lennard-jones",
        "checksum": "0",
        "status": PropertyStatus.FAILED,
        "message": "No.",
    }
    return Outcome(structure=structure, **(given | fields))


def test_a_job_says_the_same_as_a_script(home, lennard_jones):
    structures = [*argons(2), molecule("H2O")]
    vinet = EquationOfState(n_points=7, form="vinet", relaxing=Relaxing(max_force=0.02))
    store = submit(spec_of(structures, (FEW, vinet)), home)
    wait(store)
    status = store.status()
    assert status.state is JobState.FINISHED, status.message
    assert (status.done, status.total) == (6, 6)
    assert status.message.startswith("4 of 6 computed, 2 failed. H2O: ")
    assert properties_of(store.spec) == [FEW, vinet]
    assert structure_names(store.spec) == ["Ar4", "Ar4", "H2O"]
    found = read_outcomes(store)
    expected = compute((FEW, vinet), structures, lennard_jones)
    assert [to_plain(each) for each in found] == [to_plain(each) for each in expected]
    assert "not periodic" in found[-1].message


def test_a_job_of_unknown_properties_fails_with_the_reason(home):
    spec = spec_of(argons(1))
    spec.parameters["properties"][0]["kind"] = "equation_of_statehood"
    store = submit(spec, home)
    wait(store)
    assert store.status().state is JobState.FAILED
    assert "Did you mean 'equation_of_state'" in store.status().message


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_job_that_is_ended_goes_on_with_what_has_no_outcome(
    how, home, kill_worker, until, lennard_jones
):
    # Small ones end early, those with many volumes and a tight bound do not.
    tight = EquationOfState(n_points=41, at_each=Relaxing(cell=None, max_force=1e-9))
    structures = [*argons(3), *(atoms * (2, 2, 2) for atoms in argons(2))]
    store = submit(spec_of(structures, (FEW, tight)), home)
    until(lambda: len(read_outcomes(store)) >= 2)
    if how == "killed":
        kill_worker(home)
        until(lambda: store.status().state is JobState.INTERRUPTED)
    else:
        store.request_stop()
        wait(store)
        assert store.status().state is JobState.STOPPED
    before = outcomes_file(store).read_bytes()
    n_before = before.count(b"\n")
    assert 2 <= n_before < 10, "it was ended too late for this test to mean anything"
    if how == "killed":
        # As if it had died in the midst of a line.
        with outcomes_file(store).open("ab") as file:
            file.write(b'{"structure": 4, "prop')
        assert len(read_outcomes(store)) == n_before
    resume(store)
    wait(store)
    assert store.status().state is JobState.FINISHED, store.status().message
    assert store.status().done == 10
    after = outcomes_file(store).read_bytes()
    assert after.startswith(before), "what was there has been touched"
    assert after.count(b"\n") == 10, "something was computed twice"
    found = read_outcomes(store)
    expected = compute((FEW, tight), structures, lennard_jones)
    assert [o.status for o in found] == [o.status for o in expected]
    for ours, theirs in zip(found, expected, strict=True):
        if theirs.result is not None:
            assert ours.result.bulk_modulus_GPa == pytest.approx(
                theirs.result.bulk_modulus_GPa, rel=1e-6
            )


def test_outcomes_are_read_while_they_are_written(tmp_path):
    store = JobStore.create(spec_of(argons(3)), tmp_path)
    assert read_outcomes(store) == []
    reader = OutcomesReader(store)
    assert not reader.refresh()
    writer = OutcomesWriter(store)
    writer.take({(1, 0): outcome(1)})
    assert reader.refresh()
    assert not reader.refresh()
    stopped = outcome(2, status=PropertyStatus.STOPPED)
    writer.take({(1, 0): outcome(1), (0, 0): outcome(0), (2, 0): stopped})
    assert reader.refresh()
    assert list(reader.outcomes) == [(1, 0), (0, 0)]
    assert read_outcomes(store) == [outcome(0), outcome(1)]
    assert outcomes_file(store).read_bytes().count(b"\n") == 2


def test_outcomes_of_another_version_are_refused(tmp_path):
    store = JobStore.create(spec_of(argons(1)), tmp_path)
    outcomes_file(store).write_text(
        '{"structure": 0, "property": 0, "outcome": {"type": "os:path", "fields": {}}}\n'
    )
    with pytest.raises(CheckpointError):
        read_outcomes(store)
