"""Curates a corpus shard by shard, over a pool of processes or by another engine; a kill loses at most what is in work.

What lies on disk between passes is the same whatever engine is at work, so that one may go on where another stopped.
"""

import abc
import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from etils import epath

from data import atomic
from data.card import make_card, write_card
from data.curation.account import CurationReport
from data.curation.curation import DOCUMENTS, FORMAT, MARKER, REPORT, CuratedCorpus, Curation, check_same, read_json
from data.curation.passes import Pass, ShardFiles, Task, passes, read_arrays
from data.curation.transform import CorpusTransform
from data.lock import locked
from data.pool import run_all
from data.progress import Progress

_WORK = ".curating"
_IDENTITY = "identity.json"

Log = Callable[[str], None]


def curate(curation: Curation, directory: epath.PathLike, workers: int = 1, log: Log = print) -> CuratedCorpus:
    """Makes a curated corpus in `directory`, goes on where an earlier call was stopped, or opens it if it is there.

    The outcome does not depend on the number of workers, nor on where the work was stopped.

    Args:
      curation: what to do.
      directory: where; everything stands under `.curating` in it until the corpus is whole.
      workers: processes; 0 means one a core.
      log: prints a line.

    Raises:
      FileNotFoundError: when a source has no data.
      ValueError: when a record cannot be read and may not be skipped, when no document is left, or when the
        directory is of another recipe or holds other files.
      RuntimeError: when another process is at work in the directory.
    """
    pool = workers or len(os.sched_getaffinity(0))
    return curate_by(lambda work: PoolEngine(curation, work, pool, log), curation, directory, log)


def curate_by(
    start: Callable[[epath.Path], "Engine"], curation: Curation, directory: epath.PathLike, log: Log
) -> CuratedCorpus:
    """As `curate`, by the engine that `start` makes for a working directory."""
    directory = epath.Path(directory)
    identity = curation.identity()
    if (directory / MARKER).exists():
        corpus = CuratedCorpus.open(directory)
        corpus.check_same(identity)
        log(f"data: found {directory} curated, with {_amount(corpus.report['kept'])}")
        return corpus
    _claim(directory)
    with locked(directory, "choose another directory"):
        began = time.perf_counter()
        work = directory / _WORK
        _begin(directory, work, identity, log)
        engine = start(work)
        report = engine.run()
        corpus = finish(directory, engine.last, len(engine.shards), identity, report)
        log(f"data: curated to {_amount(report['kept'])} ({outcome(report)}) in {time.perf_counter() - began:.1f} s")
    return corpus


def finish(
    directory: epath.Path, last: epath.Path, shards: int, identity: dict[str, Any], report: dict[str, Any]
) -> CuratedCorpus:
    """Makes `directory` a curated corpus of the documents of the last pass; the marker is written last."""
    atomic.write_text(directory / REPORT, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    documents = directory / DOCUMENTS
    if not documents.exists():
        (last / DOCUMENTS).rename(documents)
    paths = [ShardFiles(directory, number).documents for number in range(shards)]
    entries = [_entry(path) for path in paths]
    write_card(directory, make_card(identity, report, entries))
    marker = {"format": FORMAT, **identity, "shards": entries}
    atomic.write_text(directory / MARKER, json.dumps(marker, indent=1) + "\n")
    (directory / _WORK).rmtree(missing_ok=True)
    (directory / ".lock").unlink(missing_ok=True)
    return CuratedCorpus.open(directory)


def whole_report(curation: Curation, reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The report of all passes from those of each, with what the transforms say of their counts."""
    accounts = [account for report in reports for account in report["transforms"]]
    for transform, account in zip(curation.transforms, accounts, strict=True):
        account["section"] = transform.SECTION
        account["tables"] = [table.to_json() for table in transform.tables(account)]
    return {**reports[0], "kept": reports[-1]["kept"], "transforms": accounts}


def outcome(report: dict[str, Any]) -> str:
    """What each transform did, in a few words."""
    parts = [
        f"{t['transform']['type']}: {t['changed']:,} changed, {t['dropped']:,} dropped"
        + (f", {t['added']:,} added" if t["added"] else "")
        for t in report["transforms"]
    ]
    return "; ".join(parts) or "no transforms"


def nothing_left(curation: Curation, report: dict[str, Any]) -> ValueError:
    """The error for a corpus without documents."""
    collected = sum(group["documents"] for group in report["collected"])
    dropped = [f"{t['transform']['type']} {t['dropped']:,}" for t in report["transforms"]]
    if report["bad"]:
        dropped.append(f"{sum(report['bad'].values()):,} that cannot be read")
    return ValueError(
        f"{type(curation.source).__name__} gave {collected:,} documents, of which none are left to learn from (dropped"
        f" by {', '.join(dropped) or 'no transform'})"
    )


class Engine(abc.ABC):
    """One run of all passes, within a working directory.

    Args:
      curation: what to do.
      work: the directory; it has one for each pass.
      log: prints a line.
    """

    def __init__(self, curation: Curation, work: epath.Path, log: Log) -> None:
        self._curation, self._work, self._log = curation, work, log
        self.shards = curation.source.shards()
        self.last = work

    @abc.abstractmethod
    def carry_out(self, task: Task, missing: Sequence[int], name: str) -> None:
        """Sends the shards with these numbers through a pass; first joins signatures if the pass applies findings.

        Args:
          task: what to do.
          missing: the numbers of the shards that are not done, at least one.
          name: says in the log which pass it is.
        """

    def run(self) -> dict[str, Any]:
        """Runs every pass that is not finished. Returns the report of all."""
        reports: list[dict[str, Any]] = []
        everything = passes(self._curation.transforms)
        for part in everything:
            report = self._pass(part, f"data: pass {part.number + 1} of {len(everything)}")
            reports.append(report)
            if part.number == 0:
                self._settle(report)
        whole = whole_report(self._curation, reports)
        if not whole["kept"]:
            error = nothing_left(self._curation, whole)
            self._work.rmtree()
            raise error
        return whole

    def _pass(self, part: Pass, name: str) -> dict[str, Any]:
        before, self.last = self.last, self._work / f"pass-{part.number}"
        task = Task(part, self._curation.source, self._curation.bad_input, before, self.last)
        files = [ShardFiles(self.last, number) for number in range(len(self.shards))]
        missing = [number for number, file in enumerate(files) if not file.report.exists()]
        if missing:
            self.carry_out(task, missing, name)
        report = CurationReport(part.chain().reports)
        for file in files:
            report.merge(json.loads(file.report.read_text()))
        return report.to_json()

    def _settle(self, report: dict[str, Any]) -> None:
        bad = sum(report["bad"].values())
        records = bad + sum(group["documents"] for group in report["collected"])
        self._log(f"data: collected {_amount(report['collected'])} from {type(self._curation.source).__name__}")
        if bad:
            first = report["bad_samples"][0]
            problems = ", ".join(f"{problem} {count:,}" for problem, count in report["bad"].items())
            self._log(f"data: {bad:,} records cannot be read ({problems}); the first: {first['excerpt']}")
            self._curation.bad_input.settle(bad, records, first["excerpt"])


class PoolEngine(Engine):
    """Works with processes of this machine.

    Args:
      workers: how many.
    """

    def __init__(self, curation: Curation, work: epath.Path, workers: int, log: Log) -> None:
        super().__init__(curation, work, log)
        self._workers = workers

    def carry_out(self, task: Task, missing: Sequence[int], name: str) -> None:
        findings = self._join(task, task.part.applied, name) if task.part.applied else [()] * len(self.shards)
        self._all(Task.run, [(task, i, self.shards[i], findings[i]) for i in missing], name)

    def _join(self, task: Task, transform: CorpusTransform, name: str) -> Sequence[Sequence[Any]]:
        source = transform.earlier()
        earlier = source.shards() if source else ()
        paths = [task.earlier_signatures(number) for number in range(len(earlier))]
        unsigned = [number for number, path in enumerate(paths) if not path.exists()]
        self._all(Task.sign_earlier, [(task, i, earlier[i]) for i in unsigned], f"{name}, earlier corpus")
        paths += [task.signatures(number) for number in range(len(self.shards))]
        return transform.join.resolve([read_arrays(path) for path in paths])[len(earlier) :]

    def _all(self, work: Callable[..., int], pieces: Sequence[tuple[Any, ...]], name: str) -> None:
        with Progress(name, len(pieces), self._log) as progress:
            for _, documents in run_all(work, pieces, self._workers):
                progress.advance(documents=documents)


def _claim(directory: epath.Path) -> None:
    """Raises ValueError if the directory holds what is none of ours."""
    ours = {_WORK, DOCUMENTS, REPORT, ".lock", *(f"data_card.{kind}" for kind in ("json", "html", "md"))}
    found = sorted(path.name for path in directory.iterdir()) if directory.exists() else []
    if found and not set(found) <= ours or (DOCUMENTS in found and _WORK not in found):
        raise ValueError(f"{directory} holds {found[0]} but no curated corpus; choose a new directory")


def _begin(directory: epath.Path, work: epath.Path, identity: dict[str, Any], log: Log) -> None:
    path = work / _IDENTITY
    if path.exists():
        check_same(work, read_json(path, ""), identity)
        log(f"data: going on in {directory}, where curation was stopped")
        return
    work.mkdir(parents=True, exist_ok=True)
    atomic.write_text(path, json.dumps(identity, indent=1) + "\n")


def _entry(path: epath.Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 24):
            digest.update(block)
    return {"name": path.name, "bytes": path.stat().length, "sha256": digest.hexdigest()}


def _amount(groups: Sequence[dict[str, Any]]) -> str:
    documents, size = (sum(group[name] for group in groups) for name in ("documents", "bytes"))
    return f"{documents:,} documents, {size:,} bytes of text,"
