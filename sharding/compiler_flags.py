"""What the TPU compiler is asked for besides its defaults, by chip: transfers that run behind arithmetic.

They are options of one program (`jax.stages.Lowered.compile`), so that a process on a CPU can compile for any chip.
libtpu knows the same names as flags, in LIBTPU_INIT_ARGS; what a user sets there is left alone.
"""

import os
from collections.abc import Mapping

Options = Mapping[str, str | bool]

# Gradients of replicas are reduced as soon as they are there, those of different sizes too, and not at the end.
_REDUCED_EARLY = {
    "xla_tpu_enable_data_parallel_all_reduce_opt": True,
    "xla_tpu_data_parallel_opt_different_sized_ops": True,
}
# Weights are gathered while the TensorCore computes.
_GATHERED_BEHIND = {"xla_enable_async_all_gather": "true", "xla_tpu_overlap_compute_collective_tc": True}
# A gather or a sum is cut into steps, which are fused with the matrix products that it runs behind.
_FUSED = {
    "xla_tpu_enable_async_collective_fusion": True,
    "xla_tpu_enable_async_collective_fusion_fuse_all_gather": "true",
    "xla_tpu_enable_async_collective_fusion_fuse_all_reduce": True,
    "xla_tpu_enable_async_collective_fusion_multiple_steps": True,
    "xla_enable_async_all_reduce": "true",
}
# Weights are gathered, and not summed with zeros, which sends twice as much; of sums a device gets the part it keeps.
_SENT_ONCE = {
    "xla_tpu_prefer_async_allgather_to_allreduce": True,
    "xla_tpu_enable_reduce_scatter_legalizer": True,
    "xla_tpu_check_legacy_constraints_in_reduce_scatter_legalizer": False,
}
# The SparseCores gather and sum while the TensorCore computes, along one axis of the torus or along several.
_BESIDE = {
    f"xla_tpu_enable_sparse_core_collective_offload_{name}": True
    for name in ("all_gather", "2d_all_gather", "3d_all_gather", "reduce_scatter", "nd_reduce_scatter", "all_reduce")
}
# On-chip memory that one operation may take, KiB: with half of this, the default, blocks of a large product are too
# small for what HBM gives (docs/notebook.md, 2026-11-27). More makes few of them quicker, and compiling much slower.
_BLOCKS = "xla_tpu_scoped_vmem_limit_kib"
# Weights are gathered whole, and not passed round while each part is multiplied, which halves the speed of products.
_WHOLE = {"xla_jf_spmd_threshold_for_windowed_einsum_mib": "1000000"}

# By prefix of `device_kind`; the longest that matches counts. Fused steps are for v5e alone, which has no SparseCores:
# on others libtpu 0.0.52 refuses to compile with them. It does not offer those of v4 for this.
OPTIONS: dict[str, Options] = {
    "TPU v4": _REDUCED_EARLY | _GATHERED_BEHIND | _SENT_ONCE,
    "TPU v5 lite": _REDUCED_EARLY | _GATHERED_BEHIND | _FUSED | {_BLOCKS: "32768"},
    "TPU v5e": _REDUCED_EARLY | _GATHERED_BEHIND | _FUSED | {_BLOCKS: "32768"},
    "TPU v5": _REDUCED_EARLY | _GATHERED_BEHIND | _SENT_ONCE | _BESIDE | {_BLOCKS: "32768"},
    "TPU v6": _REDUCED_EARLY | _GATHERED_BEHIND | _SENT_ONCE | _BESIDE | _WHOLE | {_BLOCKS: "65536"},
    "TPU7x": _REDUCED_EARLY | _GATHERED_BEHIND | _SENT_ONCE | _BESIDE,
}


def compiler_options(kind: str) -> dict[str, str | bool] | None:
    """Options for devices that call themselves `kind`; None for those that are no TPUs.

    Without those that the user has set in LIBTPU_INIT_ARGS.
    """
    matches = [prefix for prefix in OPTIONS if kind.startswith(prefix)]
    if not matches:
        return None
    chosen = {part.lstrip("-").partition("=")[0] for part in os.environ.get("LIBTPU_INIT_ARGS", "").split()}
    return {name: value for name, value in OPTIONS[max(matches, key=len)].items() if name not in chosen}
