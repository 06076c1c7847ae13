"""The container image for TPU hosts: the pinned packages, the libtpu that the pinned JAX names, and the five rooms."""

_ROOMS = ("model", "data", "sharding", "train", "experiments")
# `requirements.lock` pins the newest libtpu that compiles ahead of time; on a TPU, JAX's own extra says which one runs.
_RECIPE = r"""
FROM python:3.12-slim
WORKDIR /espalier
COPY requirements.lock ./
RUN pip install --no-cache-dir --no-deps -r requirements.lock \
 && pip install --no-cache-dir "$(grep '^jax==' requirements.lock | sed 's/^jax/jax[tpu]/')"
COPY setup.py pyproject.toml README.md LICENSE ./
{rooms}
RUN pip install --no-cache-dir --no-deps --no-build-isolation -e .
"""


def recipe() -> str:
    """A Dockerfile; its context is the top of the checkout."""
    return _RECIPE.lstrip().replace("{rooms}", "\n".join(f"COPY {room} {room}" for room in _ROOMS))
