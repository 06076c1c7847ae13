"""Whether an experiment fits a TPU topology and how fast it is there, without a TPU: `python -m sharding.plan`."""
