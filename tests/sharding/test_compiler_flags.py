"""What the TPU compiler is asked for, and that it knows all of it."""

import pytest

from sharding.compiler_flags import OPTIONS, compiler_options

FUSED = "xla_tpu_enable_async_collective_fusion"


def test_fused_gathers_are_for_v5e_alone() -> None:
    assert FUSED in (compiler_options("TPU v5 lite") or {})
    assert not any(FUSED in (compiler_options(kind) or {}) for kind in ("TPU v4", "TPU v5", "TPU v5p", "TPU v6 lite"))
    assert compiler_options("TPU v5p") and compiler_options("TPU7x")


def test_sparse_cores_send_where_there_are_some() -> None:
    beside = "xla_tpu_enable_sparse_core_collective_offload_all_reduce"
    assert all(beside in (compiler_options(kind) or {}) for kind in ("TPU v5p", "TPU v5", "TPU v6 lite", "TPU7x"))
    assert not any(beside in (compiler_options(kind) or {}) for kind in ("TPU v4", "TPU v5 lite", "TPU v5e"))


def test_large_products_have_large_blocks() -> None:
    limit = "xla_tpu_scoped_vmem_limit_kib"
    assert [(compiler_options(kind) or {}).get(limit) for kind in ("TPU v5 lite", "TPU v5p", "TPU v6 lite")] == [
        "32768", "32768", "65536",
    ]  # fmt: skip


def test_other_devices_get_none() -> None:
    assert compiler_options("cpu") is None and compiler_options("NVIDIA H100 80GB HBM3") is None


def test_what_the_user_sets_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    before = compiler_options("TPU v5 lite")
    monkeypatch.setenv("LIBTPU_INIT_ARGS", f"--xla_tpu_else=1 --{FUSED}=false")
    after = compiler_options("TPU v5 lite")
    assert before is not None and after is not None and before.keys() - after.keys() == {FUSED}


@pytest.mark.slow
def test_the_compiler_knows_them() -> None:
    """It refuses a program with an option that it does not know."""
    import jax
    from jax.experimental import topologies

    try:
        device = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2").devices[0]
    except Exception as error:  # noqa: BLE001 - without libtpu the reason comes in several types
        pytest.skip(f"libtpu gives no topology here: {error}")
    x = jax.ShapeDtypeStruct((8,), "float32", sharding=jax.sharding.SingleDeviceSharding(device))
    lowered = jax.jit(lambda x: x + 1).lower(x)
    assert device.device_kind == "TPU v5 lite"
    options = {name: value for table in OPTIONS.values() for name, value in table.items()}
    lowered.compile(compiler_options=options)
    with pytest.raises(jax.errors.JaxRuntimeError, match="No such compile option"):
        lowered.compile(compiler_options={**options, "xla_tpu_no_such_option": True})
