"""Pages become the text that a reader sees; what is no page stays; bombs are dropped in little time."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.curation import HtmlToText, Verdict
from data.document import Document

PAGE = """<!DOCTYPE html>
<html lang="en-GB"><head><title> Herons &amp;\n egrets </title><style>p { color: red }</style>
<script>if (a < b) { track() }</script></head>
<body><nav><ul><li><a href="/">Home</a></li><li><a href="/shop">Shop</a></li></ul></nav>
<article><h1>The heron</h1><p>It stands   in the water, <b>quite</b> still.</p>
<ul><li>grey</li><li>patient</li></ul><pre>one\n  two</pre><img src="h.png" alt="a heron"></article>
<footer>Copyright 2020</footer></body></html>"""


def judge(text: str, transform: HtmlToText = HtmlToText(), **meta: str) -> Verdict:
    return transform.start()(Document(text, "d", "s", meta=meta))


def test_what_a_reader_sees() -> None:
    kept = judge(PAGE).document
    assert kept is not None
    assert kept.text == "The heron\n\nIt stands in the water, quite still.\n\none\n  two"
    assert kept.meta == {"title": "Herons & egrets", "html_language": "en-GB", "content_type": "text/plain"}
    assert judge(PAGE).reasons == {"html: text extracted": 1}


def test_boilerplate_and_pictures_can_stay() -> None:
    whole = judge(PAGE, HtmlToText(main_content=False, alt_texts=True)).document
    assert whole is not None
    assert all(piece in whole.text for piece in ("Shop", "Copyright 2020", "  • grey\n  • patient", "a heron"))
    assert "track" not in whole.text and "color" not in whole.text


@pytest.mark.parametrize(
    ("text", "stated", "is_page"),
    [
        (PAGE, "text/plain; charset=utf-8", False),
        ("<p>A piece of a page.</p>", "text/html; charset=utf-8", True),
        ("<p>A piece of a page.</p>", "Application/XHTML+XML", True),
        ("<p>A piece of a page.</p>", "", False),
        ("  <?xml version='1.0'?>\n<!-- by hand -->\n<html><body>Text</body></html>", "", True),
        ("<HEAD><title>t</title></HEAD>Text", "", True),
        ("In HTML, <html> comes first.", "", False),
        ("<header>is another element", "", False),
    ],
)
def test_pages_are_known_by_what_is_said_or_seen(text: str, stated: str, is_page: bool) -> None:
    verdict = judge(text, **({"content_type": stated} if stated else {}))
    assert bool(verdict.reasons) == is_page
    assert is_page or verdict.document == Document(text, "d", "s", meta={"content_type": stated} if stated else {})


@given(text=st.text(st.sampled_from("ab<>/p&; \n"), max_size=40))
def test_text_is_converted_once(text: str) -> None:
    first = judge(f"<html><body>{text}</body></html>").document
    if first is not None:
        assert HtmlToText().start()(first) == Verdict(first)


def test_pages_without_text_are_dropped() -> None:
    assert judge("<html><body><script>x()</script> </body></html>") == Verdict(None, {"html: no text": 1})


def test_the_longest_page() -> None:
    page = "<html><body><p>Some words.</p></body></html>"
    assert judge(page, HtmlToText(characters=len(page))).document is not None
    assert judge(page, HtmlToText(characters=len(page) - 1)) == Verdict(None, {"html: page too long": 1})
    with pytest.raises(ValueError, match="HtmlToText.characters is 0"):
        HtmlToText(characters=0)


def test_nesting() -> None:
    def nested(depth: int) -> Verdict:
        return judge("<html><body>" + "<div>" * depth + "<p>Some words.</p>" + "</div>" * depth)

    # html, body and the text in its paragraph lie on the same path as the elements between.
    assert nested(512 - 4).document is not None
    assert nested(513) == Verdict(None, {"html: nested too deep": 1})
    assert judge("<html><body>" + "<div><p>Some words.</p></div>" * 600).document is not None
    began = time.perf_counter()
    assert nested(200_000).document is None
    # Extraction alone would take hours.
    assert time.perf_counter() - began < 20
