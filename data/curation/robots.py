"""What sites say of being read by machines: robots.txt, lists of domains, and tags against training."""

import abc
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar
from urllib.parse import SplitResult, urlsplit

from etils import epath

from data.curation.robots_txt import Robots
from data.curation.transform import DocumentTransform, Verdict
from data.curation.unknown import DropUnknown, Unknown
from data.document import Document
from data.identity import LOCATION
from data.pinned_file import PinnedFile
from data.sources.base import Source
from data.sources.files import decode
from data.sources.text_files import TextFiles

_NOT_KNOWN = "no robots.txt known"
_OPEN_FILES = 1024
# Names of hosts become names of files.
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?\Z")

# From a document and its address to why it is denied, what is not known, or None.
Objection = Callable[[Document, SplitResult], str | None]


class RobotsRule(abc.ABC):
    """Something a site can say: a frozen dataclass."""

    @abc.abstractmethod
    def start(self) -> Objection:
        """A function from a document and its address to the reason why it is denied, or None.

        Raises:
          FileNotFoundError: when what the rule reads is missing.
        """

    def reads(self) -> Sequence[Source]:
        """What it reads beside the documents."""
        return ()


@dataclass(frozen=True)
class DeniedDomains(RobotsRule):
    """Denies what lies on a list of domains, or below one of them.

    Attributes:
      file: text with a domain a line; `#` starts a comment.
    """

    file: PinnedFile

    def start(self) -> Objection:
        lines = decode(self.file.read(), str(self.file.path)).splitlines()
        denied = {name for line in lines if (name := line.partition("#")[0].strip().lower().strip("."))}

        def object_to(document: Document, url: SplitResult) -> str | None:
            parts = (url.hostname or "").rstrip(".").split(".")
            return "domain denied" if any(".".join(parts[i:]) in denied for i in range(len(parts))) else None

        return object_to


@dataclass(frozen=True)
class RobotsFiles(RobotsRule):
    """Denies what a robots.txt denies to any of these agents (RFC 9309), and what it cannot know of.

    Attributes:
      directory: robots.txt files as `HOST.txt`, one a host; an empty one allows everything, and a host without one
        is not known. Files of the same form, such as ai.txt, can be read by a second rule.
      agents: names of crawlers that collect text to train on. Those given by default are OpenAI's, Common Crawl's,
        Google's and Anthropic's, as they document them.
    """

    directory: str | os.PathLike[str] = field(metadata=LOCATION)
    agents: tuple[str, ...] = ("GPTBot", "CCBot", "Google-Extended", "ClaudeBot")

    def start(self) -> Objection:
        root = epath.Path(self.directory)
        if not root.is_dir():
            raise FileNotFoundError(f"{self.directory} is no directory; RobotsFiles.directory holds HOST.txt files")

        @lru_cache(_OPEN_FILES)
        def robots(host: str) -> Robots | None:
            file = root / f"{host}.txt"
            if not _HOST.match(host) or ".." in host or not file.exists():
                return None
            return Robots(file.read_bytes().decode("utf-8", "replace"))

        def object_to(document: Document, url: SplitResult) -> str | None:
            found = robots((url.hostname or "").rstrip("."))
            if found is None:
                return _NOT_KNOWN
            path = (url.path or "/") + (f"?{url.query}" if url.query else "")
            for agent in self.agents:
                if not found.allows(agent, path):
                    return f"robots.txt denies {agent}"
            return None

        return object_to

    def reads(self) -> Sequence[Source]:
        return (TextFiles(self.directory),)


@dataclass(frozen=True)
class NoAiTags(RobotsRule):
    """Denies what carries a tag against training in its header or its page, as far as the source has kept them.

    Attributes:
      directives: the tags; "noai" is DeviantArt's of 2022, which others took up.
      agents: names of crawlers, for headers that speak to one only ("GPTBot: noai").
      keys: the keys of `meta` under which sources keep `X-Robots-Tag` and `<meta name="robots">`.
    """

    directives: tuple[str, ...] = ("noai",)
    agents: tuple[str, ...] = ("GPTBot", "CCBot", "Google-Extended", "ClaudeBot")
    keys: tuple[str, ...] = ("x_robots_tag", "robots")

    def start(self) -> Objection:
        directives = {directive.lower() for directive in self.directives}
        agents = {agent.lower() for agent in self.agents}

        def object_to(document: Document, url: SplitResult) -> str | None:
            for key in self.keys:
                addressed = True
                for part in str(document.meta.get(key, "")).lower().split(","):
                    # A name before a colon holds for what follows it, up to the next name.
                    agent, colon, directive = part.rpartition(":")
                    if colon and agent.strip() != "unavailable_after":
                        addressed = agent.strip() in agents or agent.strip() in ("*", "robots")
                    if addressed and directive.strip() in directives:
                        return f"tagged {directive.strip()}"
            return None

        return object_to


@dataclass(frozen=True)
class RobotsPolicy(DocumentTransform):
    """Drops documents whose site does not want them read by machines, as far as the rules know.

    Documents without an address are a class of their own, "no url", and so are those of a host whose robots.txt is
    not at hand, "no robots.txt known": both are dropped unless the recipe says otherwise.

    Attributes:
      rules: what is asked, in order; the first that objects counts.
      url_key: the key of `meta` with the address.
      no_url: what becomes of documents without an address.
      no_robots: what becomes of documents of a host whose robots.txt is not known.
    """

    SECTION: ClassVar[str] = "Licences and robots"

    rules: tuple[RobotsRule, ...]
    url_key: str = "url"
    no_url: Unknown = DropUnknown()
    no_robots: Unknown = DropUnknown()

    def start(self) -> Callable[[Document], Verdict]:
        objections = [rule.start() for rule in self.rules]

        def judge(document: Document) -> Verdict:
            url = _address(document.meta.get(self.url_key))
            # A tag counts also where nobody knows the address.
            found = [reason for objection in objections if (reason := objection(document, url or _NOWHERE))]
            if denied := [reason for reason in found if reason != _NOT_KNOWN]:
                return Verdict(None, {denied[0]: 1})
            if url is None:
                return self.no_url.settle(document, "no url")
            return self.no_robots.settle(document, _NOT_KNOWN) if found else Verdict(document)

        return judge

    def reads(self) -> Sequence[Source]:
        return [source for rule in self.rules for source in rule.reads()]


_NOWHERE = urlsplit("")


def _address(value: object) -> SplitResult | None:
    if not isinstance(value, str):
        return None
    try:
        url = urlsplit(value.strip())
        return url if url.scheme in ("http", "https") and url.hostname else None
    except ValueError:
        return None
