"""Training steps a second beside the `sevenn` package's trainer, equal networks.

One SevenNet of middling size with random weights is made by the package, saved, and
loaded by `gnndesign.load_potential`: both train the same weights on the same batches of
silicon (Zuo et al. 2020, 64-atom frames; energies, forces and stress), float32, Adam,
neighbors found before. The two take turns, one batch at a time; medians of the steps.

The claim: ours makes at least as many structures a second.
"""

from __future__ import annotations

import copy
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from ase.calculators.singlepoint import SinglePointCalculator
from harness import data_path, parse_arguments, print_table, write_results

import gnndesign as gd
from gnndesign.training.dataset import Dataset
from gnndesign.training.trainer import Trainer

SHAPES = {
    "16 channels, l <= 1, 2 layers": {"channel": 16, "lmax": 1, "n": 2},
    "32 channels, l <= 2, 3 layers": {"channel": 32, "lmax": 2, "n": 3},
}
BATCH_SIZE = 4
COLUMNS = ("network", "parameters", "engine", "step_ms", "structures_per_s", "ratio")
LEAST_RATIO = 1.0


def main() -> int:
    """Time, print, write and check."""
    arguments = parse_arguments(__doc__ or "")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    steps = 3 if arguments.quick else 20
    data = gd.load_dataset(data_path("mlearn", "Si_train.xyz.xz"))
    same_size = [k for k, atoms in enumerate(data.structures) if len(atoms) == 64]
    data = data.select(same_size[: BATCH_SIZE * (steps + 2)])
    rows: list[dict[str, Any]] = []
    shapes = dict(list(SHAPES.items())[:1]) if arguments.quick else SHAPES
    for name, shape in shapes.items():
        rows += compared(name, shape, data, steps, device)
    print_table(rows, COLUMNS)
    ratios = {row["network"]: row["ratio"] for row in rows if row["engine"] == "sevenn"}
    write_results(
        "training_speed",
        headline={"times_sevenn": ratios},
        rows=[{"threads": torch.get_num_threads()}, *rows],
        packages=("torch", "sevenn", "e3nn"),
        device=device,
        quick=arguments.quick,
    )
    for name, ratio in ratios.items():
        sys.stdout.write(f"{name}: {ratio:.2f} times sevenn's structures a second\n")
    missed = [name for name, ratio in ratios.items() if ratio < LEAST_RATIO]
    return 1 if arguments.check and missed else 0


def compared(
    name: str, shape: dict[str, int], data: Dataset, steps: int, device: str
) -> list[dict[str, Any]]:
    """A row for each of the two."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "both.pth"
        package = packages_trainer(path, shape, device)
        start = gd.load_potential(path, device)
    ours = iter(
        Trainer(
            start,
            data,
            data.select([0]),
            gd.Training(
                epochs=3, batch_size=BATCH_SIZE, calibrate=False, gradient_clip=None
            ),
        )
    )
    batches = iter(packages_batches(data, shape))
    times: dict[str, list[float]] = {"gnndesign": [], "sevenn": []}
    for step in range(steps + 2):
        for engine, spent in times.items():
            begin = time.perf_counter()
            if engine == "gnndesign":
                next(ours)
            else:
                package.run_one_epoch([next(batches)], is_train=True)
            if device == "cuda":
                torch.cuda.synchronize()
            if step > 1:
                spent.append(time.perf_counter() - begin)
    medians = {engine: statistics.median(found) for engine, found in times.items()}
    return [
        {
            "network": name,
            "parameters": start.card.n_parameters,
            "engine": engine,
            "step_ms": 1e3 * median,
            "structures_per_s": BATCH_SIZE / median,
            # Of the same turns: what disturbs one disturbs the other.
            "ratio": statistics.median(
                theirs / own
                for theirs, own in zip(times[engine], times["gnndesign"], strict=True)
            ),
        }
        for engine, median in medians.items()
    ]


def packages_trainer(path: Path, shape: dict[str, int], device: str) -> Any:
    """The package's trainer of a network that is also saved for us."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import sevenn
        from sevenn._const import DEFAULT_E3_EQUIVARIANT_MODEL_CONFIG as DEFAULT
        from sevenn._const import DEFAULT_TRAINING_CONFIG
        from sevenn.model_build import build_E3_equivariant_model
        from sevenn.train.trainer import Trainer as PackageTrainer

        config = {
            **copy.deepcopy(DEFAULT_TRAINING_CONFIG),
            **copy.deepcopy(DEFAULT),
            "version": sevenn.__version__,
            "_model_type": "E3_equivariant_model",
            "_type_map": {14: 0},
            "_number_of_species": 1,
            "chemical_species": ["Si"],
            "cutoff": 5.0,
            "channel": shape["channel"],
            "lmax": shape["lmax"],
            "num_convolution_layer": shape["n"],
            "self_connection_type": "linear",
            "weight_nn_hidden_neurons": [64, 64],
            "conv_denominator": [5.3] * shape["n"],
            "shift": -5.4,
            "scale": 0.9,
            "use_modality": False,
            "is_train_stress": True,
            "force_loss_weight": 1.0,
            "stress_loss_weight": 1e-6,
            "optimizer": "adam",
            "optim_param": {"lr": 1e-3},
            "scheduler_param": {"gamma": 1.0},
            "device": device,
        }
        torch.manual_seed(1)
        model = build_E3_equivariant_model(copy.deepcopy(config))
        content = {"config": config, "model_state_dict": model.state_dict(), "epoch": 1}
        torch.save(content, path)
        return PackageTrainer.from_config(model, config)


def packages_batches(data: Dataset, shape: dict[str, int]) -> Any:
    """The same structures as the package wants them, in batches of the same size."""
    del shape
    from sevenn.train.dataload import graph_build
    from torch_geometric.loader import DataLoader

    labelled = []
    for atoms, energy, forces, stress in zip(
        data.structures, data.energy, data.forces, data.stress, strict=True
    ):
        copied = atoms.copy()
        copied.calc = SinglePointCalculator(
            copied, energy=energy, free_energy=energy, forces=forces, stress=stress
        )
        labelled.append(copied)
    graphs = graph_build(labelled, 5.0, y_from_calc=True)
    return DataLoader(graphs, batch_size=BATCH_SIZE)


if __name__ == "__main__":
    raise SystemExit(main())
