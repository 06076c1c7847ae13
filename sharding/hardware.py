"""Facts about chips, as their makers publish them: peak arithmetic rates, and power."""

import jax

# Dense bfloat16 FLOP/s of one JAX device, by prefix of `device_kind`; the longest matching prefix counts.
# TPUs: Cloud TPU documentation (a v4 or v5p chip is one device; a tpu7x device is one of two TensorCores).
# GPUs: NVIDIA data sheets, without sparsity.
PEAK_FLOPS: dict[str, float] = {
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5e": 197e12,
    "TPU v5": 459e12,
    "TPU v5p": 459e12,
    "TPU v6 lite": 918e12,
    "TPU v6e": 918e12,
    "TPU7x": 1153.5e12,
    "NVIDIA A100": 312e12,
    "NVIDIA H100": 989e12,
    "NVIDIA H200": 989e12,
}
# Devices with matrix products of 8-bit floats, by prefix of `device_kind`: NVIDIA's from compute capability 8.9
# (Ada, Hopper, Blackwell), by its data sheets; TPUs from the seventh generation (Cloud TPU documentation).
FP8 = (
    "NVIDIA H100", "NVIDIA H200", "NVIDIA H20", "NVIDIA GH200", "NVIDIA L4", "NVIDIA L40", "NVIDIA RTX 6000 Ada",
    "NVIDIA GeForce RTX 40", "NVIDIA GeForce RTX 50", "NVIDIA B100", "NVIDIA B200", "NVIDIA GB200", "TPU7x",
)  # fmt: skip


def has_fp8(kind: str) -> bool:
    """Whether devices of this `device_kind` are known to multiply matrices of 8-bit floats."""
    return kind.startswith(FP8)

# Watts of one JAX device, by prefix of `device_kind`; the longest matching prefix counts.
# TPU v4: the most measured in production (Jouppi 2023, "TPU v4: An Optically Reconfigurable Supercomputer", table 4).
# Of later TPUs Google publishes no power. GPUs: maximum thermal design power in NVIDIA's data sheets, SXM modules.
RATED_WATTS: dict[str, float] = {
    "TPU v4": 192.0,
    "NVIDIA A100": 400.0,
    "NVIDIA H100": 700.0,
    "NVIDIA H200": 700.0,
}


def peak_flops(device: jax.Device) -> float | None:
    """Peak dense bfloat16 FLOP/s of a device, or None where no figure is known (a CPU, say)."""
    return _of(PEAK_FLOPS, device)


def rated_watts(device: jax.Device) -> float | None:
    """Power of a device under load, or None where no figure is published."""
    return _of(RATED_WATTS, device)


def _of(table: dict[str, float], device: jax.Device) -> float | None:
    matches = [prefix for prefix in table if device.device_kind.startswith(prefix)]
    return table[max(matches, key=len)] if matches else None
