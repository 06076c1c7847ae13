"""What a model learns from: sources, curation, tokenizers, token stores and batches.

Importing this package loads neither TensorFlow nor JAX. A corpus goes through::

    Source -> Document -> curation -> tokens in a TokenStore -> packing -> mixture -> targets -> batches

and which rows of the stores a batch is made of is arithmetic on (seed, step): the `BatchPlan`.
"""
