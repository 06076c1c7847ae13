"""What we ask of it: configs, sampling, benchmarks and reports."""
