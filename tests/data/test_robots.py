"""A site's word counts, by RFC 9309."""

import hashlib
from pathlib import Path
from urllib.robotparser import RobotFileParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.curation.robots import DeniedDomains, NoAiTags, RobotsFiles, RobotsPolicy
from data.curation.robots_txt import Robots
from data.curation.unknown import KeepUnknown
from data.document import Document
from data.pinned_file import PinnedFile
from data.spec import build, describe


def judged(policy: RobotsPolicy, **meta: str) -> dict[str, int]:
    verdict = policy.start()(Document("text", "d", "s", meta=meta))
    return dict(verdict.reasons) | ({"kept": 1} if verdict.document else {})


# RFC 9309, 5.1 and 5.2, and the table of examples in 2.2.3's terms.
SIMPLE = """
User-Agent: *
Disallow: *.gif$
Disallow: /example/
Allow: /publications/

User-Agent: foobot
Disallow:/
Allow:/example/page.html
Allow:/example/allowed.gif

User-Agent: barbot
User-Agent: bazbot
Disallow: /example/page.html

User-Agent: quxbot
"""
LONGEST = "User-Agent: foobot\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif\n"


@pytest.mark.parametrize(
    ("text", "agent", "path", "allowed"),
    [
        (SIMPLE, "other", "/a/b.gif", False),
        (SIMPLE, "other", "/a/b.gif?x", True),
        (SIMPLE, "other", "/example/x", False),
        (SIMPLE, "other", "/publications/x", True),
        (SIMPLE, "FooBot", "/anything", False),
        (SIMPLE, "foobot", "/example/page.html", True),
        (SIMPLE, "bazbot", "/example/page.html", False),
        (SIMPLE, "barbot", "/example/other.gif", True),
        (SIMPLE, "quxbot", "/example/page.html", True),
        (LONGEST, "foobot", "/example/page/disallowed.gif", False),
        (LONGEST, "foobot", "/example/page/other", True),
        ("User-agent: *\nAllow: /p\nDisallow: /p", "a", "/p", True),
        ("User-agent: *\nDisallow: /a*b*c$", "a", "/axbxbxc", False),
        ("User-agent: *\nDisallow: /a*b*c$", "a", "/axbxcx", True),
        ("User-agent: *\nDisallow: /x$", "a", "/xy", True),
        ("User-agent: *\nDisallow: /b\u00e4r", "a", "/b%C3%A4r/1", False),
        ("User-agent: *\nDisallow: /foo%2dbar", "a", "/foo-bar", False),
        ("User-agent: *\nDisallow: /foo%2Abar", "a", "/foo-x-bar", True),
        ("User-agent: *\nDisallow: /foo%2abar", "a", "/foo%2Abar", False),
        ("User-agent: *\nDisallow: /foo%2Fbar", "a", "/foo/bar", True),
        ("User-agent: a # me\nDisallow: / # all\nUser-agent: b\nnonsense\nDisallow:", "a", "/", False),
        ("", "a", "/", True),
    ],
)  # fmt: skip
def test_robots_txt(text: str, agent: str, path: str, allowed: bool) -> None:
    assert Robots(text).allows(agent, path) is allowed


# Two slashes in front the standard library takes for a host.
PATHS = st.text("ab/", min_size=1, max_size=4).map(lambda path: f"/a{path}")


@given(st.sets(PATHS, max_size=4), st.sets(PATHS, max_size=4), PATHS)
def test_plain_rules_are_read_as_the_standard_library_reads_them(allow: set[str], deny: set[str], path: str) -> None:
    # It takes the first that fits: with the longest first, and allow before disallow, that is the RFC's choice.
    rules = sorted([(-len(p), 0, f"Allow: {p}") for p in allow] + [(-len(p), 1, f"Disallow: {p}") for p in deny])
    text = "\n".join(["User-agent: bot", *(line for *_, line in rules)])
    peer = RobotFileParser()
    peer.parse(text.splitlines())
    assert Robots(text).allows("bot", path) is peer.can_fetch("bot", f"https://a.org{path}")


def test_rules_are_asked_in_order(tmp_path: Path) -> None:
    (tmp_path / "denied").write_text("bad.org  # asked us\n\nWorse.net\n")
    content = (tmp_path / "denied").read_bytes()
    denied = PinnedFile(str(tmp_path / "denied"), hashlib.sha256(content).hexdigest())
    (tmp_path / "robots").mkdir()
    (tmp_path / "robots" / "a.org.txt").write_text("User-agent: GPTBot\nDisallow: /private\n")
    (tmp_path / "robots" / "open.org.txt").write_text("")
    rules = (DeniedDomains(denied), RobotsFiles(str(tmp_path / "robots")), NoAiTags())
    policy = RobotsPolicy(rules)
    assert judged(policy, url="https://bad.org/x") == {"domain denied": 1}
    assert judged(policy, url="http://sub.worse.net:80/") == {"domain denied": 1}
    assert judged(policy, url="https://notbad.org/x") == {"no robots.txt known": 1}
    assert judged(policy, url="https://a.org/private/1") == {"robots.txt denies GPTBot": 1}
    assert judged(policy, url="https://a.org/public") == {"kept": 1}
    assert judged(policy, url="https://open.org") == {"kept": 1}
    assert judged(policy, url="https://open.org", x_robots_tag="noindex, NoAI") == {"tagged noai": 1}
    assert judged(policy, url="https://open.org", x_robots_tag="gptbot: noai") == {"tagged noai": 1}
    assert judged(policy, url="https://open.org", x_robots_tag="otherbot: noai") == {"kept": 1}
    assert judged(policy, url="https://open.org", robots="index,noai") == {"tagged noai": 1}
    assert judged(policy, url="https://../../etc/passwd") == {"no robots.txt known": 1}
    assert build(describe(policy), RobotsPolicy) == policy
    before = [source.fingerprint() for source in policy.reads()]
    (tmp_path / "robots" / "a.org.txt").write_text("")
    assert len(before) == 1 and [source.fingerprint() for source in policy.reads()] != before


@pytest.mark.parametrize("meta", [{}, {"url": ""}, {"url": "file:///x"}, {"url": "http://[broken"}, {"url": "https://"}])
def test_a_document_without_an_address_is_not_silently_kept(meta: dict[str, str]) -> None:
    assert judged(RobotsPolicy((NoAiTags(),)), **meta) == {"no url": 1}
    keeping = RobotsPolicy((NoAiTags(),), no_url=KeepUnknown())
    assert judged(keeping, **meta) == {"no url, kept": 1, "kept": 1}
    assert judged(keeping, robots="noai", **meta) == {"tagged noai": 1}


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is no directory; RobotsFiles.directory holds HOST.txt files"):
        RobotsPolicy((RobotsFiles(str(tmp_path / "no")),)).start()
