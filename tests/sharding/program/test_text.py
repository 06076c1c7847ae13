"""The grammar of compiled modules."""

import io

import jax
import jax.numpy as jnp
import pytest

from sharding.program.text import ProgramError, parse

TEXT = """HloModule jit_step, is_scheduled=true, entry_computation_layout={(f32[2])->f32[2]}, num_partitions=16

FileNames
1 "model/stack.py"

StackFrames
1 {file_location_id=1 }

%sum (a: f32[], b: f32[]) -> f32[] {
  %a = f32[]{:T(128)} parameter(0)
  %b = f32[]{:T(128)} parameter(1)
  ROOT %add.1 = f32[]{:T(128)} add(%a, %b), metadata={op_name="sum (all)"}
}

%double.body (p: (s32[], f32[2])) -> (s32[], f32[2]) {
  %p = (s32[]{:T(128)}, f32[2]{0:T(128)}) parameter(0)
  ROOT %t = (s32[], f32[2]) tuple(%p, /*index=1*/%p)
}, execution_thread="sparsecore"

ENTRY %main.4 (x: f32[2]) -> f32[2] {
  %x = f32[2]{0:T(128)S(1)} parameter(0)
  %c = s32[2,2]{1,0} constant({ { 1, 2 }, { 3, 4 } })
  %kernel.2 = (f32[8,128]{1,0:T(8,128)}, /*index=1*/bf16[4]{0:T(256)(128)(2,1)}) custom-call(%x, %c), custom_call_target="tpu_custom_call", frontend_attributes={kernel_metadata={
"xprof_metadata":"{\\"block_q\\": 512}"
}}, backend_config={"custom_call_config":{"body":"abc=="},"estimated_cycles":"77","n":-3}
  %all.1 = f32[2]{0} all-reduce(f32[2]{0:T(128)S(1)} %x), replica_groups=[1,16]<=[16], to_apply=%sum, channel_id=1
  %if = f32[2]{0} conditional(%c, %x), branch_computations={%sum, %double.body}
  ROOT %out = f32[2]{0} add(%x, %all.1)
}
"""  # noqa: E501


def test_everything_is_where_it_stands() -> None:
    module = parse(TEXT)
    assert module.scheduled and module.partitions == 16
    assert list(module.computations) == ["sum", "double.body", "main.4"]
    assert module.entry.name == "main.4" and module.entry.root.name == "out"
    assert [each.opcode for each in module.entry.instructions] == [
        "parameter", "constant", "custom-call", "all-reduce", "conditional", "add",
    ]  # fmt: skip
    kernel = module.entry.named["kernel.2"]
    assert kernel.operands == ("x", "c") and len(kernel.arrays) == 2
    assert '\\"block_q\\": 512' in kernel.attributes and "body" not in kernel.attributes
    assert kernel.number("estimated_cycles") == 77 and kernel.number("n") == -3 and kernel.number("m") is None
    reduce = module.entry.named["all.1"]
    assert reduce.operands == ("x",)
    assert reduce.attribute("to_apply") == "sum" and reduce.attribute("channel_id") == "1"
    assert module.called(reduce, "to_apply") is module.computations["sum"]
    assert module.entry.named["if"].called("branch_computations") == ("sum", "double.body")
    assert module.entry.named["c"].literal == "{ { 1, 2 }, { 3, 4 } }"
    assert module.entry.users["x"] == tuple(module.entry.named[name] for name in ("kernel.2", "all.1", "if", "out"))
    assert module.computations["double.body"].parameters[0].name == "p"
    assert module.computations["sum"].root.name == "add.1"


def test_an_open_file_is_read_by_lines() -> None:
    assert parse(io.StringIO(TEXT)).entry.root.operands == ("x", "all.1")


NO_ENTRY = "HloModule x\n\n%f (a: f32[]) -> f32[] {\n  %a = f32[] sine()\n}"


@pytest.mark.parametrize("text", ["", "not a module", NO_ENTRY])
def test_what_is_no_program(text: str) -> None:
    with pytest.raises(ProgramError, match="no ENTRY computation"):
        parse(text)


@pytest.mark.parametrize(
    ("line", "message"), [("%x = f32[2] add(%y", "is not closed"), ("%x = f32[2]", "no instruction")]
)
def test_broken_instructions(line: str, message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        parse(f"ENTRY %main (a: f32[]) -> f32[] {{\n  {line}\n}}\n")


def test_a_computation_that_is_not_there() -> None:
    module = parse("ENTRY %main (a: f32[]) -> f32[] {\n  ROOT %x = f32[] fusion(%a), calls=%gone\n}\n")
    with pytest.raises(ProgramError, match="instruction x: calls is 'gone'"):
        module.called(module.entry.root, "calls")


def test_compiled_programs_are_read() -> None:
    program = jax.jit(lambda x: jnp.tanh(x @ x) + 1).lower(jnp.zeros((8, 8))).compile()
    module = parse(program.as_text())
    assert module.scheduled
    assert module.entry.root.arrays[0].dims == (8, 8)
