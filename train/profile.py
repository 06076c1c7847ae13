"""A few steps of a run in a trace, to be read in Perfetto or XProf."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from etils import epath

from data.devices import gpu_attached


@dataclasses.dataclass(frozen=True)
class Profile:
    """Which steps are traced, first to last, both included and counted from 1; none if `last` is 0.

    Attributes:
      first: number of the first step.
      last: number of the last.
    """

    first: int = 0
    last: int = 0

    def __post_init__(self) -> None:
        if (self.first or self.last) and not 1 <= self.first <= self.last:
            raise ValueError(f"profile is {self.first}:{self.last}; it is FIRST:LAST, from 1 on and in order")

    def check(self, start: int, steps: int) -> None:
        """Raises ValueError unless the steps are among those that come after `start` of `steps`."""
        if self.last and not start < self.first <= self.last <= steps:
            raise ValueError(f"profile is {self.first}:{self.last}, but this start does steps {start + 1} to {steps}")


def parse_profile(text: str) -> Profile:
    """`10:13` or `10` as a profile; nothing for an empty text. Raises ValueError for another text."""
    if not text:
        return Profile()
    found = re.fullmatch(r"(\d+)(?::(\d+))?", text.strip())
    if found is None:
        raise ValueError(f"profile is '{text}'; it is FIRST:LAST, as 10:13")
    return Profile(int(found[1]), int(found[2] or found[1]))


def keep_to_devices_at_hand() -> None:
    """Keeps JAX from loading the TPU's library where there is no TPU; to be called before any device is used.

    Once loaded without a TPU, libtpu 0.0.52 kills the process when a trace begins.
    """
    device_files = ("accel[0-9]*", "accel/*", "vfio/[0-9]*")
    if jax.config.jax_platforms or any(any(Path("/dev").glob(pattern)) for pattern in device_files):
        return
    jax.config.update("jax_platforms", "cuda,cpu" if gpu_attached() else "cpu")


class Tracer:
    """Does steps, and traces those of a profile into a directory: nothing is added to the others.

    Args:
      profile: which.
      directory: where the trace goes, in folders by the time of day as TensorBoard looks for them.
      say: prints where it lies.
    """

    def __init__(self, profile: Profile, directory: epath.Path, say: Callable[[str], None]) -> None:
        self._profile, self._directory, self._say = profile, directory, say

    def __call__(self, at: int, step: Callable[..., Any], state: Any, batch: Any) -> Any:
        """`step(state, batch)`, which is the run's step number `at`."""
        if not self._profile.first <= at <= self._profile.last:
            return step(state, batch)
        if at == self._profile.first:
            # What was asked for before is no part of the trace.
            jax.block_until_ready(state)
            jax.profiler.start_trace(str(self._directory), create_perfetto_trace=True)
        with jax.profiler.StepTraceAnnotation("train", step_num=at):
            state, metrics = step(state, batch)
        if at == self._profile.last:
            jax.block_until_ready(metrics)
            jax.profiler.stop_trace()
            self._say(
                f"profile: steps {self._profile.first} to {at} in {self._directory}; perfetto_trace.json.gz opens in "
                "ui.perfetto.dev, the folder in tensorboard or xprof"
            )
        return state, metrics
