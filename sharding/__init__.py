"""Where it runs: meshes, placements of logical axes, hosts and hardware facts."""
