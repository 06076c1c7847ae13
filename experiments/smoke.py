"""The first life: from raw text to a trained, sampled, reported model, in one command (`make smoke`).

Runs `experiments/configs/smoke.py` in runs/smoke, or where --run says; a run that was stopped goes on.
"""

import os
import sys
import time

from absl import flags

from data import console

console.quiet()

_RUN = flags.DEFINE_string("run", "runs/smoke", "directory to write to")
_SET = flags.DEFINE_multi_string("set", [], "change one field, steps=100; may be repeated")


def main(argv: list[str]) -> None:
    """Trains the smoke config and says what came of it."""
    began = time.perf_counter()
    from train.load import load_experiment
    from train.loop import train
    from train.run_directory import RunDirectory

    written, experiment = load_experiment("smoke", _SET.value)
    run = RunDirectory(_RUN.value)
    with run.locked():
        last = train(
            experiment, run, origin=written, command=[os.path.basename(sys.executable), *sys.orig_argv[1:]]
        )
    print(
        f"done in {time.perf_counter() - began:.0f} s: {last['step']} steps, "
        f"held-out loss {last['eval/loss']:.3f} nats a token, {last['eval/bits_per_byte']:.3f} bits a byte "
        f"(bz2 {last['baseline/bz2_bits_per_byte']:.3f}, xz {last['baseline/xz_bits_per_byte']:.3f})"
    )
    print(f"report: {run.report}")


if __name__ == "__main__":
    console.run(main, interrupted="what was done is saved; the same command goes on from there")
