"""Energy that a machine takes: read from its counters where it has some, by rated power where not."""

import abc
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


class Meter(abc.ABC):
    """Counts joules from when it was made. It has to be read now and then: counters wrap around.

    Attributes:
      name: what is counted, and how.
      measured: whether it is by an instrument.
    """

    name: str
    measured: bool

    @abc.abstractmethod
    def joules(self) -> float:
        """Joules so far."""


class Rated(Meter):
    """So many watts all the time.

    Args:
      name: what takes them.
      watts: how many.
      elapsed: seconds from any beginning.
    """

    measured = False

    def __init__(self, name: str, watts: float, elapsed: Callable[[], float] = time.monotonic) -> None:
        self.name = f"{name} at {watts:g} W"
        self._watts, self._elapsed, self._began = watts, elapsed, elapsed()

    def joules(self) -> float:
        """Time times power."""
        return (self._elapsed() - self._began) * self._watts


class Rapl(Meter):
    """Packages and memory of Intel and AMD processors, by Linux's powercap interface; readable by root alone on most.

    The counters hold microjoules, and begin again at 0 after `max_energy_range_uj`: under load within an hour.
    """

    measured = True

    def __init__(self, zones: list[Path]) -> None:
        self.name = f"processors by RAPL ({', '.join(_read(zone / 'name') for zone in zones)})"
        self._zones = {zone: int(_read(zone / "max_energy_range_uj")) for zone in zones}
        self._last = {zone: int(_read(zone / "energy_uj")) for zone in zones}
        self._total = 0

    def joules(self) -> float:
        """The sum over zones."""
        for zone, range_ in self._zones.items():
            now = int(_read(zone / "energy_uj"))
            self._total += now - self._last[zone] + (range_ if now < self._last[zone] else 0)
            self._last[zone] = now
        return self._total / 1e6


class NvidiaSmi(Meter):
    """GPUs of this process, by the power that `nvidia-smi` tells at each reading, taken to hold since the last one."""

    measured = True

    def __init__(self, command: str, elapsed: Callable[[], float] = time.monotonic) -> None:
        self.name = "GPUs by nvidia-smi"
        self._command, self._elapsed = command, elapsed
        self._total, self._since = 0.0, elapsed()
        self._watts = self._power()

    def joules(self) -> float:
        """The sum over GPUs; the mean of two readings counts for the time between them."""
        before, self._watts = self._watts, self._power()
        now = self._elapsed()
        self._total += (before + self._watts) / 2 * (now - self._since)
        self._since = now
        return self._total

    def _power(self) -> float:
        query = [self._command, "--query-gpu=index,uuid,power.draw", "--format=csv,noheader,nounits"]
        output = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True).stdout
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        rows = [[cell.strip() for cell in line.split(",")] for line in output.splitlines() if line.strip()]
        used = [row for row in rows if visible is None or {row[0], row[1]} & set(visible.split(","))]
        return sum(float(row[2]) for row in used)


def processor_meter(watts: float, root: Path = POWERCAP) -> Meter:
    """Counts what the processors of this machine take: by RAPL, or `watts` where that cannot be read.

    Zones of the whole platform are left out, since they hold the others; of the rest count packages and memory.
    """
    try:
        zones = [
            zone for zone in sorted(root.glob("intel-rapl:*"))
            if _read(zone / "name").startswith("package") or _read(zone / "name") == "dram"
        ]  # fmt: skip
        return Rapl(zones) if zones else Rated("processors", watts)
    except (OSError, ValueError):
        return Rated("processors", watts)


def gpu_meter() -> Meter | None:
    """Counts what the GPUs of this process take; None without `nvidia-smi`, or if it tells no power."""
    command = shutil.which("nvidia-smi")
    try:
        return None if command is None else NvidiaSmi(command)
    except (OSError, ValueError, IndexError, subprocess.SubprocessError):
        return None


def _read(path: Path) -> str:
    return path.read_text().strip()
