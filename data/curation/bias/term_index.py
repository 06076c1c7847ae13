"""Finds the terms of several lexicons in one look at each word."""

import re
from collections.abc import Iterator, Sequence

from data.audit.lexicon import Lexicon

# Words, ends of sentences, ends of paragraphs. A hyphen or apostrophe ends a word: "African-American" is two.
_TOKEN = re.compile(r"[^\W_]+|[.!?]+|\n[^\S\n]*\n")


def tokens(text: str) -> list[str]:
    """Words in lower case, and what ends sentences and paragraphs."""
    return _TOKEN.findall(text.lower())


class TermIndex:
    """Terms by their first word.

    Args:
      lexicons: where they are from. Of the terms of one lexicon the longest counts where several begin, and none
        that begins inside it: "south african" is not also "african".

    Raises:
      ValueError: when a term has no word.
    """

    def __init__(self, lexicons: Sequence[Lexicon]) -> None:
        terms: dict[tuple[int, tuple[str, ...]], list[str]] = {}
        for number, lexicon in enumerate(lexicons):
            for group, listed in lexicon.groups().items():
                for term in listed:
                    words = tuple(token for token in tokens(term) if token[0].isalnum())
                    if not words:
                        raise ValueError(f"the lexicon '{lexicon.name}' has '{term}', in which there is no word")
                    owners = terms.setdefault((number, words), [])
                    if (name := f"{lexicon.name}/{group}") not in owners:
                        owners.append(name)
        self._by_first: dict[str, list[tuple[int, list[str], list[str]]]] = {}
        # A stable sort: the longest first.
        for (number, words), owners in sorted(terms.items(), key=lambda item: -len(item[0][1])):
            self._by_first.setdefault(words[0], []).append((number, list(words), owners))

    def find(self, words: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
        """The number of the token at which a term begins, and the groups (LEXICON/GROUP) that have the term."""
        by_first = self._by_first
        ends: dict[int, int] = {}
        for place, word in enumerate(words):
            if word not in by_first:
                continue
            for number, term, owners in by_first[word]:
                if place >= ends.get(number, 0) and words[place : place + len(term)] == term:
                    ends[number] = place + len(term)
                    yield place, owners
