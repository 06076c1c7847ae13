"""The data of an experiment: prepared once, by one process, and checked against the model."""

from collections.abc import Callable

from data.prepared import Prepared
from sharding.hosts import is_lead, meet
from train.experiment import Experiment
from train.run_directory import RunDirectory


def prepare(experiment: Experiment, run: RunDirectory, say: Callable[[str], None]) -> Prepared:
    """The experiment's data, prepared by the lead if it is not yet.

    Raises ValueError if the model has fewer token ids than the tokenizer.
    """
    if is_lead():
        experiment.data.prepare(run.data, say)
    meet("data")
    prepared = experiment.data.prepare(run.data, lambda line: None)
    ids = prepared.tokenizer.vocab_size
    if ids > experiment.model.vocab:
        raise ValueError(
            f"model.vocab is {experiment.model.vocab}, but the tokenizer has {ids} ids; set model.vocab={ids}"
        )
    return prepared
