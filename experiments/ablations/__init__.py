"""Published ablations, one file each; a new study is a new file here, and nothing else."""
