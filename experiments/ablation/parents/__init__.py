"""What studies start from, at each scale; a study changes of it what its paper asks for."""
