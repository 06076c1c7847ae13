"""Peak rates by the names under which JAX lists devices."""

from unittest import mock

import jax
import pytest

from sharding.hardware import has_fp8, peak_flops


@pytest.mark.parametrize(
    ("kind", "teraflops"),
    [
        ("TPU v4", 275),
        ("TPU v5 lite", 197),
        ("TPU v5e", 197),
        ("TPU v5", 459),
        ("TPU v5p", 459),
        ("TPU v6 lite", 918),
        ("TPU7x", 1153.5),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H200", 989),
    ],
)
def test_the_longest_prefix_counts(kind: str, teraflops: float) -> None:
    device = mock.create_autospec(jax.Device, instance=True)
    device.device_kind = kind
    assert peak_flops(device) == teraflops * 1e12


def test_nothing_is_made_up() -> None:
    assert peak_flops(jax.devices()[0]) is None
    device = mock.create_autospec(jax.Device, instance=True)
    device.device_kind = "TPU v3"
    assert peak_flops(device) is None


def test_products_of_8_bit_floats() -> None:
    """NVIDIA from Ada and Hopper on, TPUs from the seventh generation; what is unknown is taken to have none."""
    assert all(map(has_fp8, ("NVIDIA H100 80GB HBM3", "NVIDIA H200", "NVIDIA L4", "NVIDIA B200", "TPU7x")))
    assert not any(map(has_fp8, ("cpu", "NVIDIA A100-SXM4-80GB", "TPU v5 lite", "TPU v6 lite", "TPU v5p")))
