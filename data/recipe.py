"""From a source to a prepared corpus, in one call that can be made again."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from etils import epath

from data import atomic, identity
from data.card import make_card, write_card
from data.curation import BadInput, Refuse, Transform
from data.curation.curation import Curation, Statement
from data.curation.engine import curate
from data.group_by import GroupBy, described
from data.prepared import CARD_PAGE, FORMAT, MARKER, DataSpec, Prepared, read_marker
from data.sources import Source
from data.split import Split
from data.stages import train_tokenizer, write_stores
from data.tokenization.report import section
from data.tokenizers import TokenizerSpec

CORPUS = "corpus"


@dataclass(frozen=True)
class Recipe(DataSpec):
    """How a corpus is made.

    Attributes:
      source: where documents come from.
      transforms: what happens to them, in order.
      split: what is held out for validation.
      tokenizer: what turns text into ids.
      bad_input: what to do with records that cannot be read.
      statement: what people say of the corpus.
      groups: what documents are grouped by, for batches that tell the group of each token; None if by nothing.
    """

    source: Source
    transforms: tuple[Transform, ...]
    split: Split
    tokenizer: TokenizerSpec
    bad_input: BadInput = Refuse()
    statement: Statement = Statement()
    groups: GroupBy | None = None

    @property
    def curation(self) -> Curation:
        """The part of it that ends with documents."""
        return Curation(self.source, self.transforms, self.bad_input, self.statement)

    def identity(self) -> dict[str, Any]:
        own = {key: value for key, value in self.curation.identity().items() if key != "recipe"}
        recipe = {**described(self), "tokenizer": self.tokenizer.identity()}
        return {"recipe": recipe, **own}

    def prepare(self, directory: epath.PathLike, log: Callable[[str], None] = print) -> Prepared:
        """Prepares the corpus in `directory`, or opens it there if this was done before.

        All is built under a temporary name beside `directory` and renamed at the end, so that
        several processes may prepare the same corpus at once: the first to finish is kept. Where
        a rename is not atomic (`gs://`), let one host prepare and the others wait.

        Raises:
          FileNotFoundError: when the source has no data.
          ValueError: when the directory was prepared by another recipe or holds other files, or
            when curation or the split leaves nothing.
        """
        directory = epath.Path(directory)
        own = self.identity()
        for leftover in atomic.remove_leftovers(directory):
            log(f"data: removed {leftover}, which a stopped process left behind")
        if (directory / MARKER).exists():
            return _open_same(directory, own, log)
        if directory.exists() and any(directory.iterdir()):
            raise ValueError(
                f"{directory} holds files but no prepared corpus; choose a new directory"
            )
        staging = atomic.temporary_sibling(directory)
        try:
            staging.mkdir(parents=True)
            self._build(staging, own, log)
            try:
                if directory.exists():
                    # An empty one; where it has been filled meanwhile, this fails as the rename
                    # would.
                    directory.rmdir()
                staging.rename(directory)
            except (OSError, ValueError):
                if not (directory / MARKER).exists():
                    raise
                # Another process was first; what it made is the same or an error.
                return _open_same(directory, own, log)
        finally:
            if staging.exists():
                staging.rmtree()
        prepared = Prepared.open(directory)
        log(f"data: ready in {directory}, described in {directory / CARD_PAGE}")
        return prepared

    def _build(self, into: epath.Path, own: dict[str, Any], log: Callable[[str], None]) -> None:
        corpus = curate(self.curation, into / CORPUS, log=log)
        tokenizer = train_tokenizer(
            self.tokenizer, self.split, corpus.documents(), corpus.characters, into / "tokenizer", log
        )
        tokenized = write_stores(tokenizer, self.split, corpus, into, log, self.groups)
        card = make_card(own, corpus.report, corpus.marker["shards"], tokenizer, tokenized.stores)
        write_card(into, card | {"sections": [section(tokenized.report)]})
        atomic.write_text(into / MARKER, json.dumps({"format": FORMAT} | own, indent=1) + "\n")


def _open_same(directory: epath.Path, own: dict[str, Any], log: Callable[[str], None]) -> Prepared:
    """Opens `directory` if it was made by the recipe that `own` identifies."""
    marker = read_marker(directory)
    if differing := identity.differences(marker["recipe"], own["recipe"]):
        raise ValueError(
            f"{directory} was prepared by another recipe: {'; '.join(differing)}; choose another"
            " directory or remove that one"
        )
    if any(marker[key] != own[key] for key in ("source", "earlier")):
        raise ValueError(
            f"{directory} was prepared by this recipe from other text: the files of"
            f" {own['recipe']['source']['type']} have changed; choose another directory or remove"
            " that one"
        )
    prepared = Prepared.open(directory)
    log(f"data: found {directory} ready, with {len(prepared.train):,} tokens to train on")
    return prepared
