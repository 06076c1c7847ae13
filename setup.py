"""Packages of the five rooms. Their tests stay in the checkout."""

from setuptools import find_packages, setup

ROOMS = ("model", "data", "sharding", "train", "experiments")
X86 = 'platform_machine == "x86_64" or platform_machine == "AMD64"'
NOT_X86 = 'platform_machine != "x86_64" and platform_machine != "AMD64"'

setup(
    name="espalier",
    version="0.1.0",
    description="Transformer language models in JAX and Flax, through their whole life, on TPUs",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    # The checkout's own folder goes on the path, so that an editable install sees every room,
    # also one that was added after it.
    package_dir={"": "."},
    packages=find_packages(include=[f"{room}{tail}" for room in ROOMS for tail in ("", ".*")]),
    package_data={"": ["*.json", "*.csv", "*.tsv", "*.txt", "*.md", "*.html"]},
    install_requires=[
        "absl-py>=2.1",
        "etils[epath]>=1.9",
        "fastwarc>=1.0",
        "flax>=0.12",
        "ftfy>=6.3",
        # TFDS needs it to define and store datasets, and does not say so.
        "importlib_resources>=6.4",
        "jax>=0.10",
        "jaxtyping>=0.3",
        "license-expression>=30.4",
        "matplotlib>=3.9",
        "numpy>=2.0",
        "optax>=0.2.6",
        "orbax-checkpoint>=0.12",
        "protobuf>=6.33.5,<7",
        "psutil>=5.9",
        "py3langid>=0.3",
        "pyarrow>=18",
        "pydivsufsort>=0.0.18",
        "pyyaml>=6.0",
        "resiliparse>=1.0",
        "safetensors>=0.5",
        "scikit-learn>=1.6",
        "scipy>=1.13",
        "sentencepiece>=0.2.3",
        "tensorboard>=2.19",
        f"tensorflow-cpu>=2.21; {X86}",
        f"tensorflow>=2.21; {NOT_X86}",
        "tensorflow-datasets>=4.9.9",
        "tokenizers>=0.22",
        "tqdm>=4.66",
        "zstandard>=0.23",
    ],
    extras_require={
        "tpu": ["jax[tpu]"],
        "cuda": ["jax[cuda12]"],
        "beam": ["apache-beam>=2.77"],
        "huggingface": ["datasets>=3"],
        "test": ["beartype>=0.20", "hypothesis>=6.100", "pytest>=8", "pytest-xdist>=3.6", "ruff"],
        # Products of matrices in 8 bits.
        "quantised": ["qwix>=0.1.8"],
        "parity": ["torch==2.13.0", "transformers>=5.24"],
    },
    entry_points={"console_scripts": ["espalier = experiments.cli:main"]},
)
