"""Notices of the cloud, from a server that answers as Google's does."""

import http.server
import threading
import time
from collections.abc import Iterator

import pytest

from data.exits import PREEMPTED
from train.interrupt import Interrupt
from train.notices import HOST_VARIABLE, Notices, metadata_host


class Metadata(http.server.BaseHTTPRequestHandler):
    """`/computeMetadata/v1/instance/NAME`, for those who send the header that it insists on."""

    values = {"preempted": "FALSE", "maintenance-event": "NONE"}
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        name = self.path.removeprefix("/computeMetadata/v1/instance/")
        known = self.headers.get("Metadata-Flavor") == "Google" and name in self.values
        self.send_response(200 if known else 403)
        self.end_headers()
        self.wfile.write(self.values.get(name, "").encode() if known else b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    Metadata.values, Metadata.asked = {"preempted": "FALSE", "maintenance-event": "NONE"}, 0
    with http.server.ThreadingHTTPServer(("localhost", 0), Metadata) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


def waited(interrupt: Interrupt, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while interrupt.asked is None and time.monotonic() < until:
        time.sleep(0.005)
    return interrupt.asked is not None


@pytest.mark.parametrize(
    ("name", "value"), [("preempted", "TRUE"), ("maintenance-event", "TERMINATE_ON_HOST_MAINTENANCE")]
)
def test_the_end_is_announced_once_it_is_known(server, name: str, value: str) -> None:
    interrupt = Interrupt()
    with Notices(interrupt, f"localhost:{server.server_port}", every=0.01):
        assert not waited(interrupt, 0.3) and Metadata.asked > 4
        Metadata.values = {**Metadata.values, name: value}
        assert waited(interrupt, 10)
    assert interrupt.asked is not None and interrupt.asked.way == PREEMPTED
    assert f"{name} is {value}" in str(interrupt.asked.ending())


def test_a_migration_is_no_end(server) -> None:
    Metadata.values = {**Metadata.values, "maintenance-event": "MIGRATE_ON_HOST_MAINTENANCE"}
    interrupt = Interrupt()
    with Notices(interrupt, f"localhost:{server.server_port}", every=0.01):
        assert not waited(interrupt, 0.3)


def test_a_server_that_does_not_answer_holds_nothing_up() -> None:
    interrupt = Interrupt()
    began = time.monotonic()
    with Notices(interrupt, "localhost:1", every=0.01):
        assert not waited(interrupt, 0.2)
    assert time.monotonic() - began < 2


def test_other_machines_are_asked_nothing(monkeypatch, tmp_path) -> None:
    monkeypatch.delenv(HOST_VARIABLE, raising=False)
    product = tmp_path / "product_name"
    monkeypatch.setattr("train.notices._PRODUCT", product)
    assert metadata_host() is None
    product.write_text("Standard PC\n")
    assert metadata_host() is None
    product.write_text("Google Compute Engine\n")
    assert metadata_host() == "metadata.google.internal"
    monkeypatch.setenv(HOST_VARIABLE, "localhost:9")
    assert metadata_host() == "localhost:9"
