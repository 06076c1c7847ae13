"""What JAX's backends are told; tests/model/test_ring.py has programs that never end with fewer threads."""

import os

import pytest

from data import devices
from data.console import quiet


def test_simulated_devices_get_threads_to_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2 --xla_force_host_platform_device_count=8")
    assert devices.simulated() == 8
    assert int(devices.settings()["PJRT_NPROC"]) >= 32
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=somewhere")
    assert devices.simulated() == 1 and "PJRT_NPROC" not in devices.settings()


def test_simulated_devices_begin_collectives_in_one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    quiet()
    ordered = os.environ["XLA_FLAGS"]
    assert ordered.split()[-1] == "--xla_cpu_enable_concurrency_optimized_scheduler=false"
    quiet()
    assert os.environ["XLA_FLAGS"] == ordered
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=somewhere")
    quiet()
    assert os.environ["XLA_FLAGS"] == "--xla_dump_to=somewhere"
    monkeypatch.setenv("XLA_FLAGS", f"{ordered[:-5]}true")
    devices.begin_collectives_in_order()
    assert os.environ["XLA_FLAGS"] == f"{ordered[:-5]}true"


def test_a_tpu_is_only_looked_for_where_there_may_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TPU_NAME", "mine")
    assert "TPU_SKIP_MDS_QUERY" not in devices.settings()
