"""Text that was damaged on its way here."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from data.curation.transform import DocumentTransform, Verdict
from data.document import Document


@dataclass(frozen=True)
class FixText(DocumentTransform):
    """Undoes mojibake and terminal colours with ftfy (Speer, 2019, doi:10.5281/zenodo.2591652).

    Mojibake is text that was written in one encoding and read in another: `cafÃ©` for `café`. Lines that look like it
    are decoded as they were meant, also where only a part of a line is damaged, a no-break space was flattened, or
    single characters were lost; they become U+FFFD. Pure ASCII holds none, and lines that do not look like it stay.

    What could change a text that is not damaged is off unless asked for, so that code, verse and typography survive.
    Line breaks, control characters and the Unicode form are the business of `Clean`.

    Attributes:
      entities: turns `&amp;` and its like into what they stand for, in lines without a `<`. A text about HTML or a
        piece of code may mean them literally.
      ligatures: writes `ﬁ` as `fi`: they come from PDF files, and from carefully set print.
      widths: writes full-width Latin letters and half-width Katakana in their usual width.
      quotes: makes curly quotes straight.
    """

    entities: bool = False
    ligatures: bool = False
    widths: bool = False
    quotes: bool = False

    def start(self) -> Callable[[Document], Verdict]:
        import ftfy
        from ftfy import badness, fixes

        def decode(text: str) -> str:
            # A line by itself, as ftfy does: what is appended to a page may come from elsewhere.
            lines = text.split("\n")
            return "\n".join(
                line if line.isascii() or not badness.is_bad(line) else ftfy.fix_encoding(line) for line in lines
            )

        def unescape(text: str) -> str:
            lines = text.split("\n")
            return "\n".join(fixes.unescape_html(line) if "&" in line and "<" not in line else line for line in lines)

        # What a text must hold for a rule to matter; None stands for any character beyond ASCII.
        rules: list[tuple[str, str | None, Callable[[str], str]]] = [
            ("terminal colours", "\x1b", fixes.remove_terminal_escapes),
            ("mojibake", None, decode),
        ]
        if self.entities:
            rules.insert(0, ("entities", "&", unescape))
        if self.ligatures:
            rules.append(("ligatures", None, fixes.fix_latin_ligatures))
        if self.widths:
            rules.append(("character widths", None, fixes.fix_character_width))
        if self.quotes:
            rules.append(("curly quotes", None, fixes.uncurl_quotes))

        def judge(document: Document) -> Verdict:
            text, reasons = document.text, {}
            for reason, sign, rule in rules:
                if (sign in text) if sign else not text.isascii():
                    before, text = text, rule(text)
                    if text != before:
                        reasons[reason] = 1
            return Verdict(replace(document, text=text) if reasons else document, reasons)

        return judge
