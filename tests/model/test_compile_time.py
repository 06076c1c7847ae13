"""The training step of 48 layers compiles about as fast as that of 4: layers are scanned.

    python -m pytest -m slow -s tests/model/test_compile_time.py
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
TIMED = """
import json, sys, time
from data.console import quiet
quiet()
import jax
from jax.experimental import topologies
from data.targets import NextToken
from model import stack
from model.attention import Attention
from model.feedforward import GatedMLP
from model.masks import Causal, SlidingWindow
from model.mixing import Interleaved
from model.transformer import TransformerConfig
from sharding.placements import DataParallel
from train.feed import abstract_batch
from train.objective import CausalLM
from train.optimizers import AdamW
from train.schedule import WarmupCosine
from train.state import Blueprint, abstract_state
from train.step import compile_step, make_step

platform, kind, width = sys.argv[1], sys.argv[2], int(sys.argv[3])
# On a CPU stacks of up to 12 layers are written out, since that runs faster; here loops are compared with loops.
stack._UNROLLED = 0
whole = Attention(4)
local = Attention(4, mask=Causal() & SlidingWindow(16))
attention = {"equal": whole, "local and global": Interleaved((local, whole))}[kind]
try:
    devices = topologies.get_topology_desc(platform="tpu", topology_name=platform).devices if ":" in platform else None
except Exception as error:
    print(json.dumps({"skip": str(error)}))
    raise SystemExit
layout = DataParallel().on(devices)
rows = layout.mesh.size

def seconds(layers):
    blueprint = Blueprint(TransformerConfig(layers, width, 2 * width, attention, GatedMLP(3 * width)))
    schedule = WarmupCosine(peak=1e-3, warmup=10).over(100)
    optimizer = AdamW().transform(schedule, blueprint.table)
    state = abstract_state(blueprint, optimizer, layout)
    step = make_step(blueprint, CausalLM(), optimizer, schedule, seed=0)
    batch = abstract_batch(NextToken().fields(max(64, width // 2)), rows, layout)
    # Of all threads: other programs on the machine do not count.
    began = time.process_time()
    compile_step(step, state, batch, layout)
    return time.process_time() - began

seconds(2)
print(json.dumps({layers: min(seconds(layers) for _ in range(2)) for layers in (4, 48)}))
"""


# The TPU's compiler takes some 0.05 s more a layer, for a program whose text is as long for 96 layers as for 4.
# At width 64 that is as much as all the rest; at width 512 it is not felt.
@pytest.mark.parametrize(
    ("platform", "kind", "width"), [("cpu", "equal", 64), ("cpu", "local and global", 64), ("v5e:4x4", "equal", 512)]
)
def test_depth_costs_no_compile_time(platform: str, kind: str, width: int) -> None:
    environment = {**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", TIMED, platform, kind, str(width)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    if "skip" in found:
        pytest.skip(f"libtpu gives no topology here: {found['skip']}")
    ratio = found["48"] / found["4"]
    print(f"{platform}, {kind}: 4 layers {found['4']:.2f} s, 48 layers {found['48']:.2f} s, ratio {ratio:.2f}")
    assert ratio < 1.5
