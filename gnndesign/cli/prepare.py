"""`gnndesign prepare`."""

from __future__ import annotations

from argparse import Namespace

from gnndesign.cli.output import DONE, Commands, add_command, note


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "prepare",
        "Compile the potentials' kernels for this processor and measure what a step "
        "costs, so that nobody waits later and estimates are right.",
        example="gnndesign prepare sevennet-0",
    )
    parser.add_argument(
        "potentials", nargs="*", metavar="POTENTIAL", help="(default: the SevenNets)"
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1 (default: CUDA if any)")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Prepare one potential after the other."""
    from gnndesign.potentials.catalog import list_potentials, load_potential
    from gnndesign.simulation.cost import cost_of

    names = options.potentials or [
        name for name in list_potentials() if name.startswith("sevennet")
    ]
    for name in names:
        potential = load_potential(name, options.device)
        potential.prepare(note)
        cost_of(potential)
        note(f"{name} is ready.")
    return DONE
