"""How it learns: experiments, objectives, optimizers, the step, the loop and its checkpoints."""
