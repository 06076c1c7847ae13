"""Notices of the cloud that this machine is about to go: read from Google's metadata server, beside the run."""

import http.client
import os
import threading
from pathlib import Path

from data.exits import PREEMPTED
from train.interrupt import Interrupt, Reason

# As Google's own clients name it.
HOST_VARIABLE = "GCE_METADATA_HOST"
HOST = "metadata.google.internal"
POLL_SECONDS = 2.0
_PRODUCT = Path("/sys/class/dmi/id/product_name")
# What to read below /computeMetadata/v1/instance/, and the answers that announce the end.
# https://cloud.google.com/compute/docs/metadata/getting-live-migration-notice
_ENDINGS = {"preempted": ("TRUE",), "maintenance-event": ("TERMINATE_ON_HOST_MAINTENANCE",)}


def metadata_host() -> str | None:
    """Where the metadata server is; None on a machine that is not Google's, whose network is left alone."""
    if host := os.environ.get(HOST_VARIABLE):
        return host
    try:
        return HOST if "Google" in _PRODUCT.read_text() else None
    except OSError:
        return None


class Notices:
    """Asks a run to stop when the metadata server announces the end of this machine.

    Args:
      interrupt: whom to ask.
      host: `host` or `host:port` of the server; None reads nothing.
      every: seconds between two readings.
    """

    def __init__(self, interrupt: Interrupt, host: str | None, every: float = POLL_SECONDS) -> None:
        self._interrupt, self._host, self._every = interrupt, host, every
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="notices", daemon=True)

    def __enter__(self) -> "Notices":
        if self._host is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()

    def _watch(self) -> None:
        while True:
            for name, endings in _ENDINGS.items():
                if (value := self._read(name)) in endings:
                    self._interrupt.ask(Reason(PREEMPTED, f"notice of the cloud ({name} is {value})"))
                    return
            if self._closed.wait(self._every):
                return

    def _read(self, name: str) -> str | None:
        """A value of the server; None while it does not answer, as may happen for a moment."""
        assert self._host is not None
        connection = http.client.HTTPConnection(self._host, timeout=5)
        try:
            connection.request("GET", f"/computeMetadata/v1/instance/{name}", headers={"Metadata-Flavor": "Google"})
            answer = connection.getresponse()
            return answer.read().decode().strip() if answer.status == 200 else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
