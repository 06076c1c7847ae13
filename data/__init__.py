"""What a model learns from: sources, curation, tokenizers, token stores and batches.

Importing this package loads neither TensorFlow nor JAX. A corpus goes through::

    Source -> Document -> curation -> tokens in a TokenStore -> BatchPlan -> TrainPipeline
"""
