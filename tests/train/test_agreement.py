"""Several processes agree where to stop: threads stand for the processes, a dictionary for JAX's store."""

import random
import threading
import time

import jax
import pytest

from train import agreement
from train.agreement import Alone, Together
from train.interrupt import CTRL_C, SIGTERM, Interrupt, Reason


class Store:
    """The calls of JAX's store that are used, with its errors."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._lock = threading.Lock()
        self.calls = 0

    def key_value_set(self, key: str, value: str, allow_overwrite: bool = False) -> None:
        with self._lock:
            self.calls += 1
            if key in self._values and not allow_overwrite:
                raise jax.errors.JaxRuntimeError("ALREADY_EXISTS")
            self._values[key] = value

    def key_value_try_get(self, key: str) -> str:
        with self._lock:
            self.calls += 1
            if key not in self._values:
                raise jax.errors.JaxRuntimeError("NOT_FOUND")
            return self._values[key]

    def key_value_dir_get(self, key: str) -> list[tuple[str, str]]:
        with self._lock:
            self.calls += 1
            return [(name, value) for name, value in self._values.items() if name.startswith(key)]


def race(paces: list[float], asker: int, at: int, steps: int, ahead: int = 3) -> list[tuple[int, Reason | None]]:
    """Where each process stopped, and why. None may be more than `ahead` steps before the slowest: collectives."""
    store, stopped = Store(), [(0, None)] * len(paces)
    done = [0] * len(paces)

    def process(index: int) -> None:
        interrupt = Interrupt()
        agreed = Together(interrupt, store, index, len(paces), "test")
        reason = None
        for step in range(1, steps + 1):
            while step - min(done) > ahead:
                time.sleep(0.0005)
            time.sleep(paces[index] * random.random())
            if index == asker and step == at:
                interrupt.ask(SIGTERM)
            done[index] = step
            reason = agreed.settled()
            if reason is not None:
                break
        done[index] = steps + ahead
        agreed.close()
        stopped[index] = (step, reason)

    threads = [threading.Thread(target=process, args=(index,), daemon=True) for index in range(len(paces))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads), "they wait for one another"
    return stopped


@pytest.fixture(autouse=True)
def quick(monkeypatch) -> None:
    monkeypatch.setattr(agreement, "POLL_SECONDS", 0.01)


@pytest.mark.parametrize("asker", [0, 2])
@pytest.mark.parametrize("paces", [[0.001, 0.001, 0.001], [0.0, 0.004, 0.001]])
def test_all_stop_at_the_same_step_for_the_same_reason(paces: list[float], asker: int) -> None:
    for at in (1, 7, 20):
        stopped = race(paces, asker, at, steps=10_000)
        assert len(set(stopped)) == 1, stopped
        step, reason = stopped[0]
        assert at <= step < 10_000 and reason == SIGTERM


def test_a_request_after_the_last_step_of_another_holds_nobody_up() -> None:
    for at in (36, 38, 40):
        steps = {step for step, _ in race([0.0, 0.002], asker=1, at=at, steps=40)}
        assert len(steps) == 1, "both stopped at the same step, or both went to the end"


def test_steps_cost_no_call_of_the_store() -> None:
    store, interrupt = Store(), Interrupt()
    agreed = Together(interrupt, store, 0, 2, "test")
    agreed._closed.set()  # The thread that polls is no part of a step.
    agreed._thread.join()
    before = store.calls
    assert all(agreed.settled() is None for _ in range(1000))
    assert store.calls == before


def test_one_process_asks_nobody() -> None:
    interrupt = Interrupt()
    alone = Alone(interrupt)
    assert alone.settled() is None
    interrupt.ask(CTRL_C)
    assert alone.settled() == CTRL_C
