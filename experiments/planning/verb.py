"""What `python -m sharding.plan` does: loads the config, plans, prints and writes."""

import dataclasses
import sys

from etils import epath

from data import exits
from data.atomic import write_text
from data.user_code import load_file
from experiments.planning.lines import told
from experiments.planning.page import page, search_page
from experiments.planning.planned import Depth, planned
from experiments.planning.record import Record, Request
from experiments.planning.search import Apart
from experiments.planning.search import search as searched
from experiments.planning.table import as_json, ranked
from sharding.topology import parse_topology
from train.experiment import Experiment
from train.load import load_experiment


@dataclasses.dataclass(frozen=True)
class Asked:
    """The command line.

    Attributes:
      config: `--config`.
      topology: `--topology`.
      slices: `--slices`.
      changes: each a `--set`.
      imports: each an `--import`.
      json: `--json`; empty for none.
      html: `--html`; empty for none.
    """

    config: str
    topology: str
    slices: int = 1
    changes: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    json: str = ""
    html: str = ""

    def request(self) -> Request:
        """What is to be planned."""
        return Request(self.config, self.changes, parse_topology(self.topology, self.slices))

    def experiment(self) -> Experiment:
        """The config with its changes."""
        for path in self.imports:
            load_file(path)
        return load_experiment(self.config, self.changes)[1]


def plan(asked: Asked, *, depth: Depth = Depth.PROGRAM) -> int:
    """Plans one config. Returns the exit status."""
    request = asked.request()
    record = planned(request, asked.experiment(), depth=depth, say=_progress)
    print("\n".join(told(record)))
    _write(asked, record)
    return exits.DONE.status if record.fits else exits.FAILED.status


def search(asked: Asked, *, tries: int, finalists: int, batches: bool = False) -> int:
    """Tries other ways to lay a config out. Returns the exit status."""
    request, experiment = asked.request(), asked.experiment()
    rows = searched(
        request, experiment, Apart(request, asked.imports), tries=tries, finalists=finalists, batches=batches,
        say=_progress,
    )
    print("\n".join(ranked(rows, request)))
    if asked.json:
        write_text(epath.Path(asked.json), as_json(rows, request))
    if asked.html:
        write_text(epath.Path(asked.html), search_page(rows, request))
    return exits.DONE.status if rows[0].fits else exits.FAILED.status


def _write(asked: Asked, record: Record) -> None:
    if asked.json:
        write_text(epath.Path(asked.json), record.as_json())
    if asked.html:
        write_text(epath.Path(asked.html), page(record))


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
