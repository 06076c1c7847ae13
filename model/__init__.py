"""What is computed: Flax NNX modules built from small specs, with their masks, positions and decoding."""
