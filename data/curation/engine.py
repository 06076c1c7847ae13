"""Curates a corpus on one machine, over a pool of processes, shard by shard; a kill loses at most a shard a worker."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from etils import epath

from data import atomic
from data.archive import read_documents
from data.card import make_card, write_card
from data.curation.account import CurationReport
from data.curation.bad_input import BadInput
from data.curation.curation import DOCUMENTS, FORMAT, MARKER, REPORT, CuratedCorpus, Curation, check_same, read_json
from data.curation.passes import Pass, ShardFiles, passes, read_arrays, run_shard, take_signatures, write_arrays
from data.curation.transform import CorpusTransform
from data.lock import locked
from data.pool import run_all
from data.progress import Progress
from data.sources.base import Record, Shard, Source

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
        engine = _Engine(curation, work, workers or len(os.sched_getaffinity(0)), log)
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


class _Engine:
    """One run of all passes, within a working directory."""

    def __init__(self, curation: Curation, work: epath.Path, workers: int, log: Log) -> None:
        self._curation, self._work, self._workers, self._log = curation, work, workers, log
        self.shards = curation.source.shards()
        self.last = work

    def run(self) -> dict[str, Any]:
        """Runs every pass that is not finished. Returns the report of all."""
        reports: list[dict[str, Any]] = []
        findings: list[list[Any]] = [[]] * len(self.shards)
        everything = passes(self._curation.transforms)
        for part in everything:
            name = f"data: pass {part.number + 1} of {len(everything)}"
            report = self._pass(part, findings, name)
            reports.append(report)
            if part.number == 0:
                self._settle(report)
            if part.signed:
                findings = self._join(part.signed, f"{name}, earlier corpus")
        whole = whole_report(self._curation, reports)
        if not whole["kept"]:
            error = nothing_left(self._curation, whole)
            self._work.rmtree()
            raise error
        return whole

    def _pass(self, part: Pass, findings: Sequence[Sequence[Any]], name: str) -> dict[str, Any]:
        before, self.last = self.last, self._work / f"pass-{part.number}"
        files = [ShardFiles(self.last, number) for number in range(len(self.shards))]
        source, bad_input = self._curation.source, self._curation.bad_input
        missing = [number for number, file in enumerate(files) if not file.report.exists()]
        pieces = [
            (part, source, self.shards[i], ShardFiles(before, i).documents, findings[i], bad_input, files[i])
            for i in missing
        ]
        with Progress(name, len(missing), self._log) as progress:
            for _, documents in run_all(_work, pieces, self._workers):
                progress.advance(documents=documents)
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

    def _join(self, transform: CorpusTransform, name: str) -> list[list[Any]]:
        signatures = []
        source = transform.earlier()
        if source:
            directory = self.last / "earlier"
            shards = source.shards()
            paths = [ShardFiles(directory, number).signatures for number in range(len(shards))]
            pieces = [
                (transform, source, shard, path)
                for shard, path in zip(shards, paths, strict=True)
                if not path.exists()
            ]
            with Progress(name, len(pieces), self._log) as progress:
                for _, documents in run_all(_sign, pieces, self._workers):
                    progress.advance(documents=documents)
            signatures = [read_arrays(path) for path in paths]
        earlier = len(signatures)
        signatures += [read_arrays(ShardFiles(self.last, i).signatures) for i in range(len(self.shards))]
        return transform.join.resolve(signatures)[earlier:]


def _work(
    part: Pass,
    source: Source,
    shard: Shard,
    before: epath.Path,
    findings: Sequence[Any],
    bad_input: BadInput,
    files: ShardFiles,
) -> int:
    """One shard's way through one pass, in a worker. Returns how many documents came in."""
    records: Iterable[Record] = read_documents(before) if part.number else source.read(shard)
    return run_shard(part, records, findings, bad_input, files)


def _sign(transform: CorpusTransform, source: Source, shard: Shard, path: epath.Path) -> int:
    """The signatures of one shard of an earlier corpus, in a worker. Returns how many documents it has."""
    documents, arrays = take_signatures(transform, source.read(shard))
    write_arrays(path, arrays)
    return documents


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
