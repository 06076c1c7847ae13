"""The machinery of ablation studies: what a study says, how its runs are made, and what they decide."""
