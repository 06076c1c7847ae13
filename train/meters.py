"""Meters: tokens per second, share of the chips' peak, memory."""

import resource
import sys
import time
from collections.abc import Callable

import jax

from sharding.hardware import peak_flops


class Throughput:
    """Tokens per second between readings, and model FLOPs against the chips' peak (MFU) where it is known.

    Args:
      tokens: the tokens in the first steps of the run, by their number.
      flops_per_token: of the model, in training.
    """

    def __init__(self, tokens: Callable[[int], int], flops_per_token: float) -> None:
        self._tokens, self._flops = tokens, flops_per_token
        peak = peak_flops(jax.devices()[0])
        self._peak = None if peak is None else peak * jax.device_count()
        self._since: tuple[int, float] | None = None

    def pause(self) -> None:
        """Forgets the last reading: what follows until the next is not training."""
        self._since = None

    def read(self, step: int) -> dict[str, float]:
        """Figures since the last reading; empty at the first."""
        now = time.perf_counter()
        since, self._since = self._since, (step, now)
        if since is None or step == since[0]:
            return {}
        seconds, tokens = now - since[1], self._tokens(step) - self._tokens(since[0])
        figures = {"perf/step_seconds": seconds / (step - since[0]), "perf/tokens_per_second": tokens / seconds}
        if self._peak is not None:
            figures["perf/mfu"] = tokens * self._flops / seconds / self._peak
        return figures


def peak_memory() -> dict[str, float]:
    """`perf/peak_memory_bytes`: the most in use on this process's first device, or by itself on a CPU."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "peak_bytes_in_use" in stats:
        return {"perf/peak_memory_bytes": float(stats["peak_bytes_in_use"])}
    unit = 1 if sys.platform == "darwin" else 1024
    return {"perf/peak_memory_bytes": float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)}
