"""Specs to JSON and back, compared, and overridden from text that nobody evaluates."""

import contextlib
import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.curation import Clean, MinLength
from data.expression import parse
from data.spec import SpecError, build, describe, flatten, override, replaced
from model.attention import Attention
from model.feedforward import GatedMLP
from model.kernels import Blocked
from model.masks import And, Causal, Full, Mask, Not, Or, Segments, SlidingWindow
from model.norms import LayerNorm, RMSNorm
from model.positions import Learned, Rope
from model.qk_norm import PerHead
from sharding.placements import TensorParallel
from train.experiment import Experiment
from train.load import config_names, load_experiment


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return load_experiment("shakespeare_char:nanogpt")[0]


@pytest.mark.parametrize("name", config_names())
def test_every_config_survives_json(name: str) -> None:
    written, same = load_experiment(name)
    tree = json.loads(json.dumps(describe(written)))
    assert build(tree, Experiment) == written == same
    assert "parent" not in tree


def test_a_spec_is_its_constructor_call() -> None:
    spec = Attention(4, mask=Causal() & SlidingWindow(8), kernel=None)
    assert describe(spec) == {
        "type": "Attention", "heads": 4, "kv_heads": 0, "head_dim": 0,
        "mask": {"type": "And", "left": {"type": "Causal"}, "right": {"type": "SlidingWindow", "size": 8}},
        "positions": {"type": "Rope", "theta": 1e4, "scaling": None, "fraction": 1.0, "interleaved": False},
        "qk_norm": None, "kernel": None, "bias": False, "output_bias": False, "sinks": False,
        "scale": 0.0, "softcap": 0.0,
    }  # fmt: skip
    assert flatten(describe(spec))["mask.right.size"] == 8


masks = st.recursive(
    st.sampled_from([Causal(), Full(), Segments(), SlidingWindow(3), SlidingWindow(70)]),
    lambda inner: st.one_of(
        st.builds(And, inner, inner), st.builds(Or, inner, inner), st.builds(Not, inner)
    ),
    max_leaves=6,
)


def written(mask: Mask) -> str:
    match mask:
        case And(left, right):
            return f"({written(left)} & {written(right)})"
        case Or(left, right):
            return f"({written(left)} | {written(right)})"
        case Not(inner):
            return f"~{written(inner)}"
        case SlidingWindow(size):
            return f"SlidingWindow({size})"
    return f"{type(mask).__name__}()"


@given(mask=masks)
def test_masks_survive_json_and_text(mask: Mask) -> None:
    assert build(json.loads(json.dumps(describe(mask))), Mask) == mask
    assert override(Attention(2), [f"mask={written(mask)}"]).mask == mask
    by_name = repr(mask).replace("left=", "").replace("right=", "")
    assert override(Attention(2), [f"mask={by_name}"]).mask == mask


@pytest.mark.parametrize(
    ("change", "reached", "value"),
    [
        ("model.attention.heads=8", "model.attention.heads", 8),
        ("model.attention.heads = 8", "model.attention.heads", 8),
        ("steps=1e3", "steps", 1000),
        ("schedule.peak=3e-4", "schedule.peak", 3e-4),
        ("schedule.peak=1", "schedule.peak", 1.0),
        ("optimizer.decay=0", "optimizer.decay", 0.0),
        ("model.attention.qk_norm=PerHead()", "model.attention.qk_norm", PerHead()),
        ("model.tie_embeddings=False", "model.tie_embeddings", False),
        ("model.attention.kernel=none", "model.attention.kernel", None),
        ("model.attention.kernel=Blocked(64)", "model.attention.kernel", Blocked(64)),
        ("model.remat=full", "model.remat", "full"),
        ("model.remat='full'", "model.remat", "full"),
        ("data.source.path=a=b.txt", "data.source.path", "a=b.txt"),
        ("model.norm=LayerNorm(bias=true)", "model.norm", LayerNorm(bias=True)),
        ("model.norm=RMSNorm(1e-5)", "model.norm", RMSNorm(eps=1e-5)),
        ("model.feedforward=GatedMLP(300)", "model.feedforward", GatedMLP(300)),
        ("model.attention.positions=Rope(theta=5e5)", "model.attention.positions", Rope(5e5)),
        (
            "model.attention.mask=Causal() & SlidingWindow(8)",
            "model.attention.mask",
            And(Causal(), SlidingWindow(8)),
        ),
        (
            "model.attention.mask=Segments() & (Causal() | ~SlidingWindow(size=2))",
            "model.attention.mask",
            And(Segments(), Or(Causal(), Not(SlidingWindow(2)))),
        ),
        # A spec in a spec may be of any family.
        (
            "model.attention=Attention(2, mask=Causal() & Segments(), positions=Learned(length=99))",
            "model.attention",
            Attention(2, mask=And(Causal(), Segments()), positions=Learned(99)),
        ),
        ("data.transforms=()", "data.transforms", ()),
        ("data.transforms=(Clean(), MinLength(7))", "data.transforms", (Clean(), MinLength(7))),
        ("data.transforms=[MinLength(7)]", "data.transforms", (MinLength(7),)),
        ("placement=TensorParallel(tensor=2)", "placement", TensorParallel(tensor=2)),
    ],
)
def test_changes(experiment: Experiment, change: str, reached: str, value: Any) -> None:
    found: Any = override(experiment, [change])
    before = describe(experiment)
    for part in reached.split("."):
        found = getattr(found, part)
    assert found == value and type(found) is type(value)
    assert describe(experiment) == before


def test_items_of_a_tuple_have_keys(experiment: Experiment) -> None:
    changed = override(
        experiment, ["data.transforms=(Clean(), MinLength(7))", "data.transforms.1.characters=9"]
    )
    assert changed.data.transforms == (Clean(), MinLength(9))
    with pytest.raises(SpecError, match="'data.transforms.2': the tuple has 2 items"):
        override(changed, ["data.transforms.2=Clean()"])


def test_changes_are_made_before_they_are_checked(experiment: Experiment) -> None:
    with pytest.raises(ValueError, match="heads .3. does not divide"):
        override(experiment, ["model.attention.heads=3"])
    with pytest.raises(ValueError, match="batch.sequence is 128"):
        override(experiment, ["batch.sequence=128"])
    changed = override(
        experiment,
        ["model.attention.heads=3", "model.embed=96", "batch.sequence=128",
         "model.attention.positions.length=128", "steps=5", "steps=6"],
    )  # fmt: skip
    assert changed.model.embed == 96 and changed.batch.sequence == 128 and changed.steps == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("model.attention.head=8", "unknown key 'model.attention.head': .*did you mean 'heads'"),
        ("modle.layers=8", "unknown key 'modle': Experiment has no 'modle'; did you mean 'model'"),
        ("schedule.zzz=1", "WarmupCosine has no 'zzz'; it has peak, warmup, floor"),
        ("parent=none", "Experiment has no 'parent'"),
        ("model.layers.x=1", "unknown key 'model.layers.x': 'model.layers' is a plain value"),
        ("steps", "'steps' is not a change; write key=value"),
        ("model.norm=BatchNorm()", "model.norm: there is no type 'BatchNorm' here; there is LayerNorm, RMSNorm"),
        ("model.norm=Causal()", "no type 'Causal' here; there is LayerNorm, RMSNorm"),
        ("model.attention=Causal()", "no type 'Causal' here; there is Attention, CrossAttention, Interleaved"),
        ("model.attention.mask=Rope()", "no type 'Rope' here; there is And, Causal, Chunked, .*Window"),
        ("model.norm=LayerNorm", "model.norm: .*'LayerNorm' is a bare word; write a call, 'LayerNorm..'"),
        ("model.norm=LayerNorm(biass=true)", "LayerNorm has no 'biass'; did you mean 'bias'"),
        ("model.norm=RMSNorm(1, 2, 3)", "RMSNorm takes 2 values, 3 are given"),
        ("model.attention.mask=SlidingWindow(3, size=4)", "SlidingWindow is given 'size' twice"),
        ("model.norm=none", "model.norm: None is no Norm"),
        ("model.norm=3", "model.norm: 3 is no Norm"),
        ("model.layers=2.5", "model.layers: '2.5' is no int"),
        ("model.layers=1e-1", "model.layers: '1e-1' is no int"),
        ("model.layers=1e400", "model.layers: '1e400' is no int"),
        ("model.layers=none", "model.layers: 'none' is no int"),
        ("model.layers=true", "model.layers: 'true' is no int"),
        ("model.layers=two", "model.layers: 'two' is no int"),
        ("schedule.peak=fast", "schedule.peak: 'fast' is no float"),
        ("model.tie_embeddings=1", "model.tie_embeddings: '1' is no bool"),
        ("model.attention.positions=Learned(64.7)", "positions.length: 64.7 is no int"),
        ("model.attention.mask=SlidingWindow(0)", "SlidingWindow.size is 0"),
        ("model.remat=some", "model.remat is 'some'"),
        ("model.attention.mask=Causal() &", "cannot read .*it is no expression"),
    ],
)  # fmt: skip
def test_changes_that_cannot_be(experiment: Experiment, change: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        override(experiment, [change])


@pytest.mark.parametrize(
    "text",
    [
        '__import__("os")',
        '__import__("os").system("true")',
        "Causal().__class__",
        "Causal.__init__()",
        "masks.Causal()",
        "Causal().Full()",
        "(Causal)()()",
        "(lambda: 1)()",
        "lambda: 1",
        "[Causal() for _ in (1, 2)]",
        "{Causal()}",
        "{1: 2}",
        "(x := Causal())",
        "Causal() if true else Full()",
        "Causal() and Full()",
        "Causal()[0]",
        "f'{1}'",
        "SlidingWindow(*(1,))",
        "SlidingWindow(**1)",
        "SlidingWindow(2 ** 9)",
        "SlidingWindow(1 + 1)",
        "open('x', 'w')",
        "print()",
        "eval('1')",
        "b'1'",
        "...",
        "1j",
        "Causal() < Full()",
        "Causal(); Full()",
        "import os",
        "\0",
        "(" * 3000,
        "~" * 100_000 + "Causal()",
    ],
)
def test_no_code_is_run(text: str) -> None:
    with pytest.raises(SpecError):
        override(Attention(2), [f"mask={text}"])


def test_no_name_is_looked_up_outside_of_specs(experiment: Experiment) -> None:
    for key in ("model.norm", "data.transforms", "hooks", "model.attention.kernel"):
        for name in ("SpecError", "Experiment", "dict", "Path", "type", "object"):
            with pytest.raises(SpecError, match=f"no type '{name}' here"):
                override(experiment, [f"{key}={name}()"])


@given(st.text(alphabet="Causl()&|~,=1.'\"[]{}:+- \n\0", max_size=12))
def test_any_text_is_a_value_or_a_syntax_error(text: str) -> None:
    # A TypeError for operators on values that have none.
    with contextlib.suppress(SyntaxError, TypeError):
        parse(text, lambda name, arguments, keywords: 1)


def test_trees_that_cannot_be(experiment: Experiment) -> None:
    tree = describe(experiment)
    for key, value, message in (
        ("steps", "many", "steps: 'many' is no int"),
        ("steps", 2.5, "steps: 2.5 is no int"),
        ("steps", True, "steps: True is no int"),
        ("optimiser", 1, "unknown key 'optimiser': .*did you mean 'optimizer'"),
        ("model", {"type": "Transformer"}, "model: there is no type 'Transformer' here"),
        ("hooks", 3, "hooks: 3 is no tuple"),
    ):
        with pytest.raises(SpecError, match=message):
            build(tree | {key: value}, Experiment)
    with pytest.raises(SpecError, match="set.* cannot be part of a spec"):
        describe({1, 2})


def test_values_take_the_places_of_others(experiment: Experiment) -> None:
    wider = GatedMLP(hidden=171)
    changed = replaced(experiment, {"model.feedforward": wider, "schedule.peak": 1, "seed": 7})
    model = dataclasses.replace(experiment.model, feedforward=wider)
    schedule = dataclasses.replace(experiment.schedule, peak=1.0)
    assert changed == dataclasses.replace(experiment, model=model, schedule=schedule, seed=7)
    assert isinstance(changed.schedule.peak, float)
    # Each alone would be refused: learned positions must reach as far as the rows.
    longer = replaced(experiment, {"batch.sequence": 128, "model.attention.positions.length": 128})
    assert longer.batch.sequence == 128


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"model.feedforwards": 1}, "did you mean 'feedforward'?"),
        ({"model.feedforward": RMSNorm()}, "there is no type 'RMSNorm' here"),
        ({"steps": "many"}, "steps: 'many' is no int"),
        ({"model.norm": object()}, "cannot be part of a spec"),
    ],
)
def test_values_that_do_not_go_there_are_refused(
    experiment: Experiment, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(SpecError, match=words.replace("?", r"\?")):
        replaced(experiment, changes)
