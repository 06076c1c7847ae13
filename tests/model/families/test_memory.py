"""Memory of a conversion: that of the largest tensor, and not of the model.

What counts is memory that only this process can give up, `RssAnon` of Linux. The pages of the source file
are mapped and come and go with the machine's memory; they are printed beside it.

    python -m pytest -m slow -s tests/model/families/test_memory.py
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model.families.family import Family
from model.families.link import tensors_of, theirs_shapes
from model.families.published import Published
from model.families.registry import family_of
from model.families.tensor_files import TensorWriter
from model.families.transfer import abstract

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[3]
MIB = 1 << 20
# 60 layers of 20 MiB each, and an embedding of 60 MiB.
DEEP = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 15360, "hidden_size": 1024,
    "num_hidden_layers": 60, "num_attention_heads": 8, "num_key_value_heads": 1, "intermediate_size": 1024,
    "tie_word_embeddings": True,
}  # fmt: skip
CONVERT = """
import json, sys, threading, time
from pathlib import Path
from model import convert as verb
from model.families import registry, transfer

def held(key):
    return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith(key + ":")) / 1024

peak, over = [0.0], threading.Event()
def watch():
    while not over.wait(0.002):
        peak[0] = max(peak[0], held("RssAnon"))

# The first model of a process brings parts of JAX into memory that have nothing to do with its size.
transfer.open_model(Path(sys.argv[1]))
before, mapped = held("RssAnon"), held("RssFile")
thread = threading.Thread(target=watch)
thread.start()
verb.convert(Path(sys.argv[1]), Path(sys.argv[2]), 5_000_000_000)
over.set(); thread.join()
print(json.dumps({"before": before, "peak": peak[0], "mapped": held("RssFile") - mapped}))
"""


def written(directory: Path) -> tuple[int, int]:
    """Writes the model; bytes of all of it and of its largest tensor."""
    family: Family = family_of(Published(DEEP))
    config = family.config(Published(DEEP))
    ours = tensors_of(abstract(family, config))
    announced = [
        (name, shape, np.dtype(np.float32))
        for link in family.links(config)
        for name, shape in zip(link.theirs, theirs_shapes(link, ours))
    ]
    writer = TensorWriter(directory, announced)
    for name, shape, _ in announced:
        writer.write(name, np.random.default_rng(0).random(shape, np.float32))
    writer.close()
    (directory / "config.json").write_text(json.dumps(DEEP))
    sizes = [4 * int(np.prod(shape)) for _, shape, _ in announced]
    return sum(sizes), max(sizes)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for memory")
def test_memory_is_that_of_the_largest_tensor(tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("published", "ours", "again")]
    places[0].mkdir()
    total, largest = written(places[0])
    assert total > 1.2e9 and total > 19 * largest
    for source, target in zip(places, places[1:]):
        command = [sys.executable, "-c", CONVERT, str(source), str(target)]
        said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        found = json.loads(said.splitlines()[-1])
        used = found["peak"] - found["before"]
        print(
            f"to {target.name}: {used:.0f} MiB besides {found['before']:.0f} of the program; the model has "
            f"{total / MIB:.0f}, its largest tensor {largest / MIB:.0f}; {found['mapped']:.0f} MiB of files are mapped"
        )
        assert used < largest / MIB + 24
    one, other = ((place / "model.safetensors").read_bytes() for place in (places[0], places[2]))
    assert one == other
