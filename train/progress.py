"""Progress: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Mapping

from tqdm import tqdm

# In a log a line at most this often, in seconds; a log of a week should still be read.
_QUIET_SECONDS = 10.0


class Progress:
    """Shows how far a run is: steps, loss, tokens per second, time left. Only the lead process shows it."""

    def __init__(self, start: int, steps: int, shown: bool) -> None:
        self._steps, self._shown = steps, shown
        self._bar = (
            tqdm(total=steps, initial=start, unit="step", dynamic_ncols=True) if shown and sys.stderr.isatty() else None
        )
        self._start = start
        self._began = self._last = time.perf_counter()

    def at(self, step: int, metrics: Mapping[str, float]) -> None:
        """Shows the metrics of a step."""
        if not self._shown:
            return
        loss, rate = metrics.get("train/loss"), metrics.get("perf/tokens_per_second")
        words = ([f"loss {loss:.3f}"] if loss is not None else []) + ([f"{rate:,.0f} tokens/s"] if rate else [])
        if self._bar is not None:
            self._bar.update(step - self._bar.n)
            self._bar.set_postfix_str(", ".join(words))
            return
        now = time.perf_counter()
        if now - self._last >= _QUIET_SECONDS or step == self._steps:
            self._last = now
            left = (now - self._began) / max(step - self._start, 1) * (self._steps - step)
            self.say(f"step {step}/{self._steps}: {', '.join(words)}, {left:.0f} s left")

    def say(self, line: str) -> None:
        """Prints a line without tearing the bar."""
        if self._shown:
            tqdm.write(line, file=sys.stdout)
            sys.stdout.flush()

    def close(self) -> None:
        """Ends the bar."""
        if self._bar is not None:
            self._bar.close()
