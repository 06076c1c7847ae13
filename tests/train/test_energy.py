"""Energy and CO2 by the stated model, over all starts of a run."""

from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import jax
import pytest
from etils import epath

from data.spec import build, describe
from sharding.hardware import rated_watts
from sharding.power import Meter
from train import energy
from train.energy import Energy, Ledger
from train.hooks import Hook, Moment


class Told(Meter):
    """Counts what it is told."""

    name = "told"

    def __init__(self, measured: bool) -> None:
        self.measured, self.count = measured, 0.0

    def joules(self) -> float:
        return self.count


def moment(directory: Path, said: list[str]) -> Moment:
    """A moment of which only the place and the log are there."""
    made = object.__new__(Moment)
    object.__setattr__(made, "directory", SimpleNamespace(path=epath.Path(directory)))
    object.__setattr__(made, "log", said.append)
    return made


def test_the_sums_go_on_over_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hook, said = Energy(pue=1.5, intensity=400.0), []
    for start in (1, 2):
        measured, rated = Told(True), Told(False)
        monkeypatch.setattr(Energy, "meters", lambda self, found=(measured, rated): list(found))
        at = moment(tmp_path, said)
        hook.at_start(at)
        measured.count, rated.count = 2.7e6, 0.9e6
        found = hook.after_evaluation(at)
        # 3.6 MJ are a kilowatt hour.
        assert found["perf/energy_kwh"] == pytest.approx(start * 1.5)
        assert found["perf/co2_kg"] == pytest.approx(start * 1.5 * 0.4)
        assert found["perf/energy_measured"] == pytest.approx(0.75)
    hook.at_end(at)
    assert said[-1] == "energy: 3 kWh, 1.2 kg of CO2-equivalent (75% measured; PUE 1.5, 400 g a kWh)"
    assert hook.figures(3.6e6, 0.0, 4)["perf/energy_kwh"] == pytest.approx(6)
    assert hook.after_evaluation(at) == {}, "nothing counts any more"


def test_it_is_read_between_evaluations_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "_SECONDS", 0.01)
    meter = Told(True)
    ledger = Ledger(epath.Path(tmp_path / "energy.json"), [meter])
    ledger.start()
    meter.count = 7.0
    for _ in range(500):
        if (tmp_path / "energy.json").exists() and '"measured": 7.0' in (tmp_path / "energy.json").read_text():
            break
        energy.threading.Event().wait(0.01)
    else:
        pytest.fail("nothing was read")
    ledger.stop()


def test_an_instrument_that_fails_stops_nothing(tmp_path: Path) -> None:
    class Broken(Told):
        def joules(self) -> float:
            raise OSError("gone")

    (tmp_path / "energy.json").write_text('{"measured": 5.0, "rated": 1.0}')
    assert Ledger(epath.Path(tmp_path / "energy.json"), [Broken(True)]).read() == (5.0, 1.0)
    (tmp_path / "energy.json").write_text("{")
    assert Ledger(epath.Path(tmp_path / "energy.json"), []).read() == (0.0, 0.0)


def test_it_is_a_spec_with_limits() -> None:
    hook = Energy(pue=1.2)
    hook._running["x"] = None  # type: ignore[assignment]
    assert build(describe(hook), Hook) == hook
    with pytest.raises(ValueError, match="Energy.pue is 0.9; it is at least 1"):
        Energy(pue=0.9)
    with pytest.raises(ValueError, match="Energy.core_watts is -1.0"):
        Energy(core_watts=-1.0)


def test_accelerators_of_unknown_power_have_to_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(Energy().meters()) == 1, "a CPU alone"
    chip = mock.create_autospec(jax.Device, instance=True)
    chip.platform, chip.device_kind = "tpu", "TPU v5 lite"
    monkeypatch.setattr(jax, "local_devices", lambda: [chip] * 4)
    with pytest.raises(ValueError, match="power of a TPU v5 lite is not published; set Energy.device_watts"):
        Energy().meters()
    assert Energy(device_watts=150.0).meters()[1].name == "4 x TPU v5 lite at 600 W"
    chip.device_kind = "TPU v4"
    assert Energy().meters()[1].name == "4 x TPU v4 at 768 W" and rated_watts(chip) == 192
