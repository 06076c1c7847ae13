"""Curation as Apache Beam pipelines: on this machine, or on Dataflow, Flink or Spark, with the same outcome."""

import importlib.util
import logging
from collections.abc import Sequence

from etils import epath

from data.curation.curation import CuratedCorpus, Curation
from data.curation.engine import Log, curate_by


def curate_with_beam(
    curation: Curation, directory: epath.PathLike, options: Sequence[str] = (), log: Log = print
) -> CuratedCorpus:
    """As `data.curation.engine.curate`, but each pass is a Beam pipeline; the outcome is the same byte for byte.

    On a cluster, `directory` and the sources have to lie where all workers see them (`gs://`), and a source or
    transform of one's own has to be in a package that they have installed.

    Args:
      curation: what to do.
      directory: where.
      options: Beam's pipeline options, such as `--runner=DataflowRunner`; by default pipelines run in this
        process (`FnApiRunner`; Beam's `DirectRunner` looks for a program to download first).
      log: prints a line.

    Raises:
      ModuleNotFoundError: when Beam is not installed.
      ValueError: when an option is unknown to Beam, and as `curate`.
      FileNotFoundError, RuntimeError: as `curate`.
    """
    if importlib.util.find_spec("apache_beam") is None:
        raise ModuleNotFoundError("curation with Apache Beam needs it installed: pip install 'espalier[beam]'")
    _quiet()
    from data.curation.beam.engine import BeamEngine

    return curate_by(lambda work: BeamEngine(curation, work, options, log), curation, directory, log)


def _quiet() -> None:
    # Beam says at its import which optional parts of Google's cloud are missing.
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        import apache_beam  # noqa: F401
    finally:
        logging.disable(before)
    # An error in a pipeline is raised as well; once is enough.
    logging.getLogger("apache_beam.runners.common").setLevel(logging.CRITICAL)
