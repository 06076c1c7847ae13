"""A text with the genders of its words, pronouns and names exchanged, in English."""

import re
from collections.abc import Mapping

_WORD = re.compile(r"[^\W\d_]+")
_NEXT = re.compile(r"[^\S\n]*\n?[^\S\n]*[\"'\u201c\u2018(]?(?P<word>[^\W_]+)")
_LOOKED_AT = 64
# Words that do not begin what a possessive stands before: after "her" they show that it is an object ("saw her at",
# "gave her the"), after "his" that it stands for a noun ("his is"). Closed classes, and common adverbs.
_NO_NOUN = frozenset(
    """
    a an the this that these those some any each every no another all both either neither
    i you he she it we they me him her us them my your his its our their mine yours hers ours theirs
    myself yourself himself herself itself ourselves yourselves themselves someone something anyone anything nothing
    about above across after against along alongside among amongst around as at before behind below beneath beside
    besides between beyond by despite down during except for from in inside into like near of off on onto out outside
    over past per round since through throughout till to toward towards under underneath until unto up upon via with
    within without
    and but or nor so yet because although though if unless when whenever where wherever while whereas than whether
    who whom whose which what why how
    am is are was were be been being do does did have has had having will would shall should can could may might must
    ought not n't wo ca
    again ago ahead alone already also always altogether anymore anyway apart aside away backwards else enough even
    ever everywhere forever forward forwards here however indeed instead just later maybe much never nevertheless now
    nowhere once perhaps quite rather simply sometimes somewhere soon still then there therefore thus today together
    tomorrow tonight too twice upstairs downstairs very yesterday come go know get see say tell make take give let
    """.split()
)
# These end a clause after an object ("brought her back", "made her feel"), and are nouns or adjectives after "his",
# which hardly ever stands for a noun.
_NOUN_AFTER_HIS = frozenset(
    "back being down feel home leave like look might more need over past right round stand stay stop think try up walk"
    " want well will can must".split()
)
_NO_NOUN_AFTER = {"her": _NO_NOUN | _NOUN_AFTER_HIS, "his": _NO_NOUN - _NOUN_AFTER_HIS}


class Swap:
    """Exchanges genders in texts.

    Pronouns agree: "him" and, before a noun, "his" become "her", other "his" become "hers"; "her" becomes "his"
    before a noun and "him" elsewhere. What stands before a noun is told from the next word: no word, or one of a
    closed class, is none. "themselves" and whatever has no counterpart in the lists stays.

    Args:
      words: the counterpart of each gendered word, in lower case and both directions.
      names: the same of given names, which are exchanged only where they have a capital letter.
    """

    def __init__(self, words: Mapping[str, str], names: Mapping[str, str]) -> None:
        self._words, self._names = words, names

    def __call__(self, text: str) -> tuple[str, int]:
        """The text with genders exchanged, and how many words were."""
        parts, done, number = [], 0, 0
        for match in _WORD.finditer(text):
            word = match.group()
            other = self._counterpart(word.lower(), word, text, match.end())
            if other is not None:
                parts += [text[done : match.start()], _cased(other, word)]
                done = match.end()
                number += 1
        return "".join(parts) + text[done:], number

    def _counterpart(self, lower: str, word: str, text: str, end: int) -> str | None:
        if lower == "her":
            return "his" if before_noun(lower, text, end) else "him"
        if lower == "his":
            return "her" if before_noun(lower, text, end) else "hers"
        if lower in _PRONOUNS:
            return _PRONOUNS[lower]
        if lower in self._words:
            return self._words[lower]
        return self._names.get(lower) if word[0].isupper() else None


_PRONOUNS = {"him": "her", "hers": "his", "mrs": "mr"}


def before_noun(pronoun: str, text: str, end: int) -> bool:
    """Whether "her" or "his", which ends at `end`, stands before a noun, as far as the next word tells."""
    following = _NEXT.match(text, end, end + _LOOKED_AT)
    if not following:
        return False
    word = following["word"].lower()
    # "told her quickly", but "her family"; "her only child" has an adjective of that form.
    adverb = word.endswith("ly") and len(word) > 6 and word not in _NOUNS_LIKE_ADVERBS
    return word not in _NO_NOUN_AFTER[pronoun] and not adverb


_NOUNS_LIKE_ADVERBS = frozenset(
    "family assembly monopoly anomaly butterfly elderly friendly lovely lonely lively likely monthly weekly yearly"
    " costly deadly cowardly scholarly motherly fatherly brotherly sisterly worldly heavenly".split()
)


def _cased(word: str, like: str) -> str:
    if like.isupper() and len(like) > 1:
        return word.upper()
    return word.capitalize() if like[0].isupper() else word
