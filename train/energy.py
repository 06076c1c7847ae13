"""Energy of a run and the CO2 of making it, by a model that states its figures."""

import contextlib
import dataclasses
import json
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
from etils import epath

from data import atomic
from sharding.hardware import rated_watts
from sharding.hosts import is_lead
from sharding.power import Meter, Rated, gpu_meter, processor_meter
from train.hooks import Hook, Moment

# Between readings; far less than a counter needs to wrap around.
_SECONDS = 10.0
_JOULES_PER_KWH = 3.6e6


@dataclasses.dataclass(frozen=True)
class Energy(Hook):
    """Logs the energy of a run over all its starts, after each evaluation, and tells it at the end.

    The model: (energy of the processors and accelerators of this host) x hosts x PUE, and CO2 = energy x intensity.
    Counters of the machine are read where it has them (RAPL, nvidia-smi); else power is rated: of accelerators as
    published (`sharding.hardware.RATED_WATTS`), of processors `core_watts` a core. Disks, network and making the
    machines count nothing. `perf/energy_measured` is the share that was measured.

    Attributes:
      pue: power usage effectiveness of the data centre; 1.1 is Google's fleet in 2023 (Environmental Report 2024).
      intensity: grams of CO2-equivalent a kWh; 480 is the world's in 2023 (Ember, Global Electricity Review 2024).
      core_watts: of a processor core under load, where nothing is measured; a round figure, put in your own.
      device_watts: of an accelerator, where nothing is measured; 0 takes the published one.
    """

    pue: float = 1.1
    intensity: float = 480.0
    core_watts: float = 10.0
    device_watts: float = 0.0
    _running: dict[str, "Ledger"] = dataclasses.field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.pue < 1:
            raise ValueError(f"Energy.pue is {self.pue}; it is at least 1")
        for field in ("intensity", "core_watts", "device_watts"):
            if getattr(self, field) < 0:
                raise ValueError(f"Energy.{field} is {getattr(self, field)}; it is at least 0")

    def meters(self) -> list[Meter]:
        """What counts on this host. Raises ValueError for accelerators of unknown power."""
        devices = jax.local_devices()
        found = [processor_meter((os.cpu_count() or 1) * self.core_watts)]
        if devices[0].platform == "cpu":
            return found
        gpus = gpu_meter() if devices[0].platform in ("gpu", "cuda") else None
        if gpus is not None:
            return [*found, gpus]
        watts = self.device_watts or rated_watts(devices[0])
        if watts is None:
            raise ValueError(f"the power of a {devices[0].device_kind} is not published; set Energy.device_watts")
        return [*found, Rated(f"{len(devices)} x {devices[0].device_kind}", watts * len(devices))]

    def at_start(self, moment: Moment) -> None:
        """Begins to count, beside the run, until the process ends."""
        if is_lead():
            ledger = Ledger(moment.directory.path / "energy.json", self.meters())
            self._running[str(moment.directory.path)] = ledger
            ledger.start()
            moment.log(f"energy: {'; '.join(meter.name for meter in ledger.meters)}")

    def after_evaluation(self, moment: Moment) -> Mapping[str, float]:
        """Energy and CO2 so far, for all hosts alike."""
        ledger = self._running.get(str(moment.directory.path))
        return {} if ledger is None else self.figures(*ledger.read(), jax.process_count())

    def at_end(self, moment: Moment) -> None:
        """Tells the sums."""
        if (ledger := self._running.pop(str(moment.directory.path), None)) is not None:
            ledger.stop()
            told = self.figures(*ledger.read(), jax.process_count())
            moment.log(
                f"energy: {told['perf/energy_kwh']:.4g} kWh, {told['perf/co2_kg']:.4g} kg of CO2-equivalent "
                f"({told['perf/energy_measured']:.0%} measured; PUE {self.pue:g}, {self.intensity:g} g a kWh)"
            )

    def figures(self, measured: float, rated: float, hosts: int) -> dict[str, float]:
        """Metrics, from the joules of one host that were measured, and those that were not."""
        joules = measured + rated
        kwh = joules * hosts * self.pue / _JOULES_PER_KWH
        share = {"perf/energy_measured": measured / joules} if joules else {"perf/energy_measured": 0.0}
        return {"perf/energy_kwh": kwh, "perf/co2_kg": kwh * self.intensity / 1000, **share}


class Ledger:
    """Joules over all starts of a run, kept in a file beside it and read on a thread, so that no counter wraps twice.

    Args:
      path: of the file; what earlier starts left there is added to.
      meters: what counts.
    """

    def __init__(self, path: epath.Path, meters: Sequence[Meter]) -> None:
        self.meters = tuple(meters)
        self._path, self._before = path, _stored(path)
        self._sums = {"measured": 0.0, "rated": 0.0} | self._before
        self._lock, self._over = threading.Lock(), threading.Event()

    def start(self) -> None:
        """Reads now and then from now on."""
        threading.Thread(target=self._watch, name="energy", daemon=True).start()

    def stop(self) -> None:
        """Reads no more by itself."""
        self._over.set()

    def read(self) -> tuple[float, float]:
        """Joules that were measured, and those that were not."""
        with self._lock, _unless_gone():
            for measured in (True, False):
                key = "measured" if measured else "rated"
                counted = sum(meter.joules() for meter in self.meters if meter.measured is measured)
                self._sums[key] = self._before.get(key, 0.0) + counted
            atomic.write_text(self._path, json.dumps(self._sums) + "\n")
        return self._sums["measured"], self._sums["rated"]

    def _watch(self) -> None:
        while not self._over.wait(_SECONDS):
            self.read()


@contextlib.contextmanager
def _unless_gone() -> Iterator[None]:
    """An instrument that fails, or a disk that is full, must not stop a run: the last sums stand."""
    with contextlib.suppress(OSError, ValueError, IndexError, subprocess.SubprocessError):
        yield


def _stored(path: epath.Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
        return {key: float(found[key]) for key in ("measured", "rated")}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
