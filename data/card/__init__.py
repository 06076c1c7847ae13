"""The data card: what is known of a corpus, as JSON for programs and as HTML and Markdown for people.

After Gebru et al., Datasheets for datasets, 2021 (arXiv:1803.09010): what can be counted is, and nothing is claimed
that was not.
"""

from data.card.html import card_html
from data.card.make import make_card, write_card
from data.card.markdown import card_markdown

__all__ = ["card_html", "card_markdown", "make_card", "write_card"]
