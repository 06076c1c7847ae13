"""The passes of curation as Beam pipelines, one for each pass.

What crosses the network is signatures and findings; documents lie on disk between passes, as they do for a pool of
processes. A shard is one element, read and written as a stream, so that the memory of a worker does not grow with it.
"""

import re
import time
from collections.abc import Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from etils import epath

from data.console import nearest
from data.curation.beam.joins import Signed, resolve
from data.curation.curation import Curation
from data.curation.engine import Engine, Log
from data.curation.passes import Task
from data.curation.transform import CorpusTransform
from data.sources.base import Shard

# What Beam adds to the message of an error.
_WHERE = re.compile(r" \[while running '[^']*'\]")

# These pass on to a server what Beam itself does not know.
_HAVE_MORE_OPTIONS = ("FlinkRunner", "SparkRunner", "PortableRunner")


class BeamEngine(Engine):
    """Works with the workers of a Beam runner.

    Args:
      options: Beam's pipeline options.

    Raises:
      ValueError: when there is an option that Beam does not know.
    """

    def __init__(self, curation: Curation, work: epath.Path, options: Sequence[str], log: Log) -> None:
        super().__init__(curation, work, log)
        given = dict(option.removeprefix("--").partition("=")[::2] for option in options)
        self._options = [*options, *([] if "runner" in given else ["--runner=FnApiRunner"])]
        known = PipelineOptions([]).get_all_options()
        for name in () if given.get("runner") in _HAVE_MORE_OPTIONS else given:
            if name not in known:
                raise ValueError(f"Apache Beam has no option '{name}'{nearest(name, known)}")

    def carry_out(self, task: Task, missing: Sequence[int], name: str) -> None:
        """Runs one pipeline. Raises ValueError as its workers do."""
        began = time.perf_counter()
        shards, wanted = self.shards, frozenset(missing)
        try:
            with beam.Pipeline(options=PipelineOptions(self._options)) as pipeline:
                if task.part.applied:
                    signed = self._signed(pipeline, task, task.part.applied)
                    findings = resolve(task.part.applied.join, signed)
                else:
                    findings = pipeline | beam.Create([(number, ()) for number in missing])
                _ = (
                    findings
                    | "missing" >> beam.Filter(lambda found: found[0] in wanted)
                    | "spread" >> beam.Reshuffle()
                    | "shard" >> beam.MapTuple(lambda number, found: task.run(number, shards[number], found))
                )
        except ValueError as error:
            raise ValueError(_WHERE.sub("", str(error))) from None
        self._log(f"{name}: {len(missing)} shards in {time.perf_counter() - began:.1f} s")

    def _signed(self, pipeline: beam.Pipeline, task: Task, applied: CorpusTransform) -> Signed:
        """Where the signatures of all shards lie; those of earlier corpora have negative numbers."""
        source = applied.earlier()
        earlier = source.shards() if source else ()
        before = (
            pipeline
            | "earlier shards" >> beam.Create(list(enumerate(earlier)))
            | "sign" >> beam.MapTuple(lambda number, shard: (number - len(earlier), _sign(task, number, shard)))
        )
        own = [(number, task.signatures(number)) for number in range(len(self.shards))]
        return (before, pipeline | "own shards" >> beam.Create(own)) | "all shards" >> beam.Flatten()


def _sign(task: Task, number: int, shard: Shard) -> epath.Path:
    """Where the signatures of an earlier shard lie, after they were taken if they are not there."""
    path = task.earlier_signatures(number)
    if not path.exists():
        task.sign_earlier(number, shard)
    return path
