"""Whether an experiment fits a TPU topology, and how fast it is there, told without a TPU: `python -m sharding.plan`."""
