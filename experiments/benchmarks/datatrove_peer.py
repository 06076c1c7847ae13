"""The same rules and deduplication in datatrove: `PYTHON datatrove_peer.py IN OUT WORKERS`, with a Python that has it.

Prints the seconds it took and how many documents are left. Words are split by spaCy's blank English, datatrove's
default, which needs no download; the constants are those of ours (C4's from its code, FineWeb's from its paper).
"""

import glob
import gzip
import sys
import time

import datatrove.executor
import datatrove.pipeline.dedup as dedup
import datatrove.pipeline.filters as filters
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter


def run(source: str, out: str, workers: int) -> None:
    """All stages, with as few readings of the text as datatrove needs: two."""
    config = dedup.MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8)
    rules = [
        filters.GopherRepetitionFilter(),
        filters.GopherQualityFilter(),
        filters.C4QualityFilter(min_num_sentences=3, min_words_per_line=5),
        filters.FineWebQualityFilter(char_duplicates_ratio=0.1),
    ]
    tasks = len(glob.glob(f"{source}/*.jsonl"))
    filtered, bands, links, removed = (f"{out}/{name}" for name in ("filtered", "bands", "links", "removed"))
    signatures = dedup.MinhashDedupSignature(bands, config)
    stages = (
        (tasks, [JsonlReader(source), *rules, JsonlWriter(filtered), signatures]),
        (config.num_buckets, [dedup.MinhashDedupBuckets(bands, links, config=config)]),
        (1, [dedup.MinhashDedupCluster(links, removed, config=config)]),
        (tasks, [JsonlReader(filtered), dedup.MinhashDedupFilter(removed), JsonlWriter(f"{out}/kept")]),
    )
    for number, (pieces, pipeline) in enumerate(stages):
        log = f"{out}/logs-{number}"
        datatrove.executor.LocalPipelineExecutor(pipeline, pieces, min(workers, pieces), log).run()


if __name__ == "__main__":
    began = time.perf_counter()
    run(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    seconds = time.perf_counter() - began
    kept = 0
    for path in glob.glob(f"{sys.argv[2]}/kept/*"):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            kept += sum(1 for _ in file)
    print(f"> {seconds} {kept}")
