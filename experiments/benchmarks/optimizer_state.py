"""What each optimizer keeps, by shape alone: `python -m experiments.benchmarks.optimizer_state [CONFIG] [DEVICES]`.

One line an optimizer: megabytes of the weights and of what is kept, whole and on each of DEVICES devices, fully
sharded. Nothing is allocated.
"""

import os
import sys

from data import console

console.quiet()


def main(config: str, devices: int) -> None:
    """Prints the table."""
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    import numpy as np

    from sharding.placements import FullySharded
    from train.load import load_experiment
    from train.optimizers import (
        SOAP,
        Adafactor,
        AdamW,
        Averaged,
        Lion,
        Muon,
        Rounded,
        ScheduleFreeAdamW,
        Shampoo,
    )
    from train.state import Blueprint, abstract_state

    blueprint, layout = Blueprint(load_experiment(config)[0].model), FullySharded().on()

    def megabytes(tree: object) -> str:
        leaves = jax.tree.leaves(tree)
        sizes = [
            sum(np.dtype(leaf.dtype).itemsize * int(np.prod(shape)) for leaf, shape in zip(leaves, shapes, strict=True))
            for shapes in ([leaf.shape for leaf in leaves], [leaf.sharding.shard_shape(leaf.shape) for leaf in leaves])
        ]
        return " | ".join(f"{size / 1e6:,.1f}" for size in sizes)

    print(f"{config} on {devices} devices | MB | MB a device\n---|---|---")
    specs = (
        AdamW(), Adafactor(), Lion(), Muon(), SOAP(), SOAP(block=256), Shampoo(), ScheduleFreeAdamW(),
        Averaged(AdamW()), Rounded(AdamW()),
    )  # fmt: skip
    for i, spec in enumerate(specs):
        optimizer = spec.transform(lambda step: 1.0, blueprint.table)
        abstract = abstract_state(blueprint, optimizer, layout)
        if not i:
            print(f"weights | {megabytes(abstract.weights)}")
        inside = type(spec.inner).__name__ + "()" if hasattr(spec, "inner") else ""
        inside = f"block={spec.block}" if isinstance(spec, SOAP) and spec != SOAP() else inside
        print(f"{type(spec).__name__}({inside}) | {megabytes(abstract.optimizer)}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "gpt2_124m", int(sys.argv[2]) if len(sys.argv) > 2 else 8)
