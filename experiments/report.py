"""Writes a run's report page anew: `python -m experiments.report --run=DIR`, or with `--compare` one of several runs.

From the files of the runs alone, also while they are running. As a hook (`Report()`), it is written at the end.
"""

import dataclasses
from collections.abc import Sequence

from absl import flags
from etils import epath

from data import atomic, console

console.quiet()

from experiments.report_compare import comparison
from experiments.report_page import page
from experiments.report_record import Record, data_directory, read
from sharding.hosts import is_lead
from train.hooks import Hook, Moment
from train.run_directory import RunDirectory


@dataclasses.dataclass(frozen=True)
class Report(Hook):
    """Writes `report.html` at the end. It comes last among the hooks: it shows what the others wrote.

    Attributes:
      title: of the page; the experiment's name if empty.
    """

    title: str = ""

    def at_end(self, moment: Moment) -> None:
        """Writes the page; the lead alone."""
        if is_lead():
            moment.log(f"report: {write_report(moment.directory, self.title)}")


def write_report(run: RunDirectory, title: str = "") -> epath.Path:
    """Writes the report of a run directory, and copies its data card beside it. Returns the path.

    Raises FileNotFoundError if it holds no run.
    """
    record = read(run)
    copied = _copy_card(run, record)
    atomic.write_text(run.report, page(record, title or _own_title(record), run.data_card.name if copied else ""))
    return run.report


def write_comparison(runs: Sequence[RunDirectory], title: str = "") -> epath.Path:
    """Writes a page that compares runs into the first of them. Returns the path.

    Raises FileNotFoundError if one holds no run, and ValueError if there are too few or too many.
    """
    atomic.write_text(runs[0].comparison, comparison([read(run) for run in runs], title))
    return runs[0].comparison


def _own_title(record: Record) -> str:
    """The title that the run's own hook gives."""
    hooks = [hook for hook in record.config.get("hooks", ()) if isinstance(hook, dict)]
    return next((str(hook.get("title", "")) for hook in hooks if hook.get("type") == "Report"), "")


def _copy_card(run: RunDirectory, record: Record) -> bool:
    card = data_directory(run, record.config) / run.data_card.name
    if card.exists():
        atomic.write_text(run.data_card, card.read_text())
    return run.data_card.exists()


def main(argv: list[str]) -> None:
    """Writes the report, and prints where it is."""
    import jax

    from experiments.restore import find_run

    # Counting weights needs no device; one that is busy training is left alone.
    jax.config.update("jax_platforms", "cpu")
    run, others = find_run(flags.FLAGS.run), [find_run(path) for path in flags.FLAGS.compare]
    written = write_comparison([run, *others], flags.FLAGS.title) if others else write_report(run, flags.FLAGS.title)
    print(written)


if __name__ == "__main__":
    flags.DEFINE_string("run", None, "run directory", required=True)
    flags.DEFINE_list("compare", [], "other run directories: write comparison.html of all of them into --run instead")
    flags.DEFINE_string("title", "", "title of the page; the experiment's name if empty")
    console.run(main)
