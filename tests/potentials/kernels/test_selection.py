"""Which form of a network evaluates: chosen, made in the background, checked, dropped."""

import itertools
import threading
from dataclasses import replace

import jaxtyping
import numpy as np
import pytest
import torch
from small_networks import own_potential, perovskite

from gnndesign.errors import ParameterError
from gnndesign.potentials.equivariant import EquivariantPotential
from gnndesign.potentials.kernels.selection import KernelState

PATIENCE = 60.0


class Stub:
    """Passes for a fused form: the plain network, counted, and wrong if so asked."""

    def __init__(self, potential, change=None):
        self.potential, self.calls = potential, 0
        self.change = change or (lambda slopes: slopes)

    def evaluate(self, species, batch, edges):
        assert torch.equal(species, self.potential.species(batch))
        self.calls += 1
        return self.change(self.potential.plain_slopes(batch, edges))


class Workshop:
    """Stands in for what makes the fused form; hands over when told."""

    def __init__(self, monkeypatch, *, quick=False):
        self.made, self.change, self.error = [], None, None
        self.may_end = threading.Event()
        home = EquivariantPotential

        def build(potential):
            return self.build(potential)

        monkeypatch.setattr(home, "build_kernel", build)
        monkeypatch.setattr(home, "is_kernel_quick", lambda _: quick)

    def build(self, potential):
        assert self.may_end.wait(PATIENCE)
        if self.error is not None:
            raise self.error
        stub = Stub(potential, self.change)
        self.made.append(stub)
        return stub

    @property
    def calls(self):
        """Evaluations beside the one that checks."""
        return [stub.calls - 1 for stub in self.made]


@pytest.fixture
def workshop(monkeypatch):
    return Workshop(monkeypatch)


@pytest.fixture
def ready(workshop):
    """A workshop that takes no time."""
    workshop.may_end.set()
    return workshop


@pytest.fixture
def potential():
    """The smallest network that has a fused form."""
    potential = own_potential(
        self_connection="linear", hidden=("2x0e", "3x0e"), lmax=0, parity=False
    )
    potential.kernel = "auto"
    return potential


@pytest.fixture
def atoms():
    return perovskite()


def state(potential):
    return potential._kernels.state


def test_plain_never_makes_or_uses_the_fused_form(potential, atoms, ready):
    potential.kernel = "plain"
    potential.prepare(say=pytest.fail)
    potential.compute(atoms)
    assert ready.made == []
    assert state(potential) is KernelState.WAITING
    assert potential.describe_kernel() == "plain torch, as chosen"


def test_plain_does_not_use_a_fused_form_that_is_there(potential, atoms, ready):
    potential.kernel = "fused"
    potential.compute(atoms)
    potential.kernel = "plain"
    potential.compute(atoms)
    assert ready.calls == [1]


def test_fused_waits_for_the_fused_form(potential, atoms, workshop):
    potential.kernel = "fused"
    threading.Timer(0.2, workshop.may_end.set).start()
    potential.compute(atoms)
    assert workshop.calls == [1]
    assert potential.describe_kernel() == "fused, Stub"


def test_auto_goes_from_plain_to_fused(potential, atoms, workshop):
    before = potential.compute(atoms)
    assert state(potential) is KernelState.MAKING
    assert "plain torch; the fused form is being made" in potential.describe_kernel()
    workshop.may_end.set()
    potential._kernels.wait()
    assert state(potential) is KernelState.READY
    assert workshop.calls == [0]
    after = potential.compute(atoms)
    assert workshop.calls == [1]
    assert torch.equal(before.forces, after.forces)


def test_what_is_on_disk_is_there_at_the_first_evaluation(
    potential, atoms, monkeypatch
):
    workshop = Workshop(monkeypatch, quick=True)
    workshop.may_end.set()
    potential.compute(atoms)
    assert workshop.calls == [1]


def test_the_fused_form_is_made_once(potential, atoms, workshop):
    callers = [
        threading.Thread(target=potential.compute, args=(atoms,)) for _ in range(4)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(PATIENCE)
    workshop.may_end.set()
    potential._kernels.wait()
    assert len(workshop.made) == 1


@pytest.mark.parametrize("kernel", ["auto", "fused"])
def test_changed_weights_drop_the_fused_form(potential, atoms, ready, kernel):
    potential.kernel = "fused"
    potential.compute(atoms)
    potential.kernel = kernel
    with torch.no_grad():
        potential.network.embedding.mul_(1.1)
    potential.compute(atoms)
    potential._kernels.wait()
    assert len(ready.made) == 2
    assert ready.calls[0] == 1
    potential.compute(atoms)
    assert ready.calls[0] == 1
    assert ready.calls[1] >= 1


def test_a_fused_form_that_was_overtaken_by_new_weights_is_not_used(
    potential, atoms, workshop
):
    potential.compute(atoms)
    first = potential._kernels._thread
    with torch.no_grad():
        potential.network.embedding.mul_(1.1)
    potential.compute(atoms)
    workshop.may_end.set()
    first.join(PATIENCE)
    potential._kernels.wait()
    potential.compute(atoms)
    assert len(workshop.made) == 2
    assert sorted(workshop.calls) == [0, 1]


def test_a_failure_to_make_it_for_weights_that_are_gone_is_no_news(
    potential, atoms, workshop, monkeypatch
):
    gate, number = workshop.may_end, itertools.count()

    def build(potential):
        if next(number) == 0:
            assert gate.wait(PATIENCE)
            raise RuntimeError("too late")
        return Stub(potential)

    monkeypatch.setattr(EquivariantPotential, "build_kernel", build)
    potential.compute(atoms)
    first = potential._kernels._thread
    with torch.no_grad():
        potential.network.embedding.mul_(1.1)
    potential.compute(atoms)
    potential._kernels.wait()
    assert state(potential) is KernelState.READY
    gate.set()
    first.join(PATIENCE)
    assert potential.describe_kernel() == "fused, Stub"


def test_a_real_fused_form_follows_its_weights(potential, atoms):
    def check(rtol):
        found = {}
        for kernel in ("fused", "plain"):
            potential.kernel = kernel
            found[kernel] = potential.compute(atoms)
        assert state(potential) is KernelState.READY
        for name in ("energy", "forces", "stress"):
            exact = getattr(found["plain"], name)
            torch.testing.assert_close(
                getattr(found["fused"], name),
                exact,
                rtol=0,
                atol=rtol * float(exact.abs().max()),
            )
        return found["plain"].forces

    first = check(2e-5)
    with torch.no_grad():
        potential.network.embedding.mul_(1.3)
    second = check(2e-5)
    assert (first - second).abs().max() > 0.01 * first.abs().max()
    potential.network.double()
    third = check(1e-5)
    assert not torch.equal(second, third)
    assert potential.describe_kernel().startswith("plain")
    potential.kernel = "fused"
    assert potential.describe_kernel() == "fused, CPUNetwork"


WRONG = {
    "atomic_energies": lambda s: replace(s, atomic_energies=s.atomic_energies + 0.01),
    "positions": lambda s: replace(s, positions=-s.positions),
    "strain": lambda s: replace(s, strain=s.strain.roll(1, 0)),
    "not a number": lambda s: replace(s, positions=s.positions * torch.nan),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_fused_form_that_is_wrong_is_refused(potential, atoms, ready, what):
    ready.change = WRONG[what]
    plain = potential.compute(atoms)
    potential._kernels.wait()
    assert state(potential) is KernelState.REFUSED
    again = potential.compute(atoms)
    assert torch.equal(plain.forces, again.forces)
    assert ready.calls == [0]
    described = potential.describe_kernel()
    assert described.startswith("plain torch; the fused form is not available: ")
    assert "differs from the plain network" in described
    named = what if what in ("atomic_energies", "strain") else "positions"
    assert f" in {named};" in described
    potential.kernel = "fused"
    with pytest.raises(ParameterError, match=r"no fused form here: .* differs"):
        potential.compute(atoms)
    # It is not made again and again.
    assert len(ready.made) == 1


def test_a_fused_form_that_covers_nothing_is_refused(potential, atoms, ready):
    ready.change = lambda _: None
    potential.compute(atoms)
    potential._kernels.wait()
    assert "does not cover distances above 1 Å" in potential.describe_kernel()


def test_a_distance_the_fused_form_does_not_cover_is_left_to_the_plain(
    potential, atoms, ready
):
    potential.kernel = "fused"
    expected = potential.compute(atoms)
    ready.made[0].change = lambda _: None
    found = potential.compute(atoms)
    assert ready.calls == [2]
    assert torch.equal(found.forces, expected.forces)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("LLVM has no such register"),
        OSError("no room on the disk"),
        ImportError("no llvmlite"),
        ParameterError("no such network"),
    ],
)
def test_what_the_making_raises_is_a_reason_and_the_plain_network_goes_on(
    potential, atoms, ready, error
):
    ready.error = error
    potential.compute(atoms)
    potential._kernels.wait()
    assert state(potential) is KernelState.REFUSED
    potential.compute(atoms)
    assert potential.describe_kernel().endswith(f"not available: {error}")


def test_the_compilers_own_complaint_is_a_reason(potential, atoms, monkeypatch):
    from gnndesign.potentials.kernels import machine_code

    def complain(*_):
        raise RuntimeError("LLVM IR parsing error")

    monkeypatch.setattr(machine_code, "_compile", complain)
    monkeypatch.setattr(machine_code, "is_kept", lambda *_: False)
    monkeypatch.setattr(
        machine_code, "kept", lambda key, suffix, make: make() if key or suffix else b""
    )
    potential.prepare(say=lambda _: None)
    assert state(potential) is KernelState.REFUSED
    assert "LLVM IR parsing error" in potential.describe_kernel()
    assert np.isfinite(potential.compute(atoms).forces.numpy()).all()


def test_preparing_says_what_it_does_when_it_takes_long(potential, workshop):
    said = []
    threading.Timer(0.2, workshop.may_end.set).start()
    potential.prepare(said.append)
    assert len(said) == 2
    assert "Compiling the kernels of Own for this processor, once" in said[0]
    assert said[1] == "Own: fused, Stub."
    potential.prepare(pytest.fail)


def test_preparing_speaks_to_standard_error_if_to_nobody(potential, ready, capsys):
    # Its thread may have ended before anybody asks.
    ready.may_end.clear()
    threading.Timer(0.2, ready.may_end.set).start()
    potential.prepare()
    written = capsys.readouterr()
    assert written.out == ""
    assert "Compiling" in written.err


def test_preparing_what_is_on_disk_is_silent(potential, monkeypatch):
    workshop = Workshop(monkeypatch, quick=True)
    workshop.may_end.set()
    potential.prepare(pytest.fail)
    assert state(potential) is KernelState.READY


def test_an_unknown_choice_is_refused(potential, monkeypatch):
    # The tests' type checker would notice first.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ParameterError, match=r"auto, plain, fused, got 'fastest'"):
        potential.kernel = "fastest"
    assert potential.kernel == "auto"


def test_a_network_without_a_fused_form_says_so(atoms):
    potential = own_potential(self_connection="species")
    potential.kernel = "auto"
    potential.compute(atoms)
    potential._kernels.wait()
    assert "'species', which has no fused form" in potential.describe_kernel()
    potential.kernel = "fused"
    with pytest.raises(ParameterError, match="Choose the kernel 'auto' or 'plain'"):
        potential.compute(atoms)


def test_sevennets_fused_form_agrees_with_the_plain_one(sevennet_0, atoms, monkeypatch):
    from ase.build import bulk, molecule

    silicon, ethanol = bulk("Si") * (2, 1, 1), molecule("CH3CH2OH")
    for other in (silicon, ethanol):
        other.rattle(0.1, seed=4)
    structures = [atoms, silicon, ethanol]
    monkeypatch.setattr(sevennet_0, "kernel", "plain")
    plain = sevennet_0.compute(structures)
    monkeypatch.setattr(sevennet_0, "kernel", "fused")
    fused = sevennet_0.compute(structures)
    assert not torch.equal(plain.forces, fused.forces)
    counts = torch.tensor([len(a) for a in structures])
    torch.testing.assert_close(
        fused.energy / counts, plain.energy / counts, rtol=0, atol=1e-6
    )
    torch.testing.assert_close(fused.forces, plain.forces, rtol=0, atol=1e-5)
    torch.testing.assert_close(fused.stress, plain.stress, rtol=0, atol=6e-7)
