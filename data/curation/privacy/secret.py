"""Keys, tokens and passwords."""

import math
import re
from collections import Counter
from dataclasses import dataclass

from data.curation.privacy.kinds import PersonalKind, Span

# A mark, looked for first, and what the whole looks like, as the issuers document them. The look-behind stands
# after the mark, so that `re` can jump to it.
_MARKED = {
    "AKIA": r"AKIA(?<![A-Za-z0-9]AKIA)[A-Z2-7]{16}(?![A-Za-z0-9])",  # Amazon Web Services, of a user
    "ASIA": r"ASIA(?<![A-Za-z0-9]ASIA)[A-Z2-7]{16}(?![A-Za-z0-9])",  # Amazon Web Services, of a session
    "ghp_": r"ghp_(?<![A-Za-z0-9]ghp_)[A-Za-z0-9]{36,255}",  # GitHub, personal
    "gho_": r"gho_(?<![A-Za-z0-9]gho_)[A-Za-z0-9]{36,255}",  # GitHub, OAuth
    "ghu_": r"ghu_(?<![A-Za-z0-9]ghu_)[A-Za-z0-9]{36,255}",  # GitHub, user to server
    "ghs_": r"ghs_(?<![A-Za-z0-9]ghs_)[A-Za-z0-9]{36,255}",  # GitHub, server to server
    "ghr_": r"ghr_(?<![A-Za-z0-9]ghr_)[A-Za-z0-9]{36,255}",  # GitHub, refresh
    "github_pat_": r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}",  # GitHub, fine-grained
    "glpat-": r"glpat-[A-Za-z0-9_-]{20,64}",  # GitLab
    "xox": r"xox[abeoprs]-[A-Za-z0-9-]{10,255}",  # Slack
    "hooks.slack.com/services/": r"hooks\.slack\.com/services/T[A-Z0-9]{8,12}/B[A-Z0-9]{8,12}/[A-Za-z0-9]{20,28}",
    "AIza": r"AIza(?<![A-Za-z0-9]AIza)[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])",  # Google
    "_live_": r"[prs]k_live_[A-Za-z0-9]{16,247}",  # Stripe
    "hf_": r"hf_(?<![A-Za-z0-9_]hf_)[A-Za-z0-9]{34}(?![A-Za-z0-9])",  # Hugging Face
    "sk-": r"sk-(?<![A-Za-z0-9_-]sk-)(?:[a-z]{2,8}-)?[A-Za-z0-9_-]{40,200}",  # OpenAI, Anthropic
    # JSON Web Token (RFC 7519): "eyJ" is '{"' in base 64.
    "eyJ": r"eyJ(?<![A-Za-z0-9_-]eyJ)[A-Za-z0-9_-]{8,4096}+\.eyJ[A-Za-z0-9_-]{8,8192}+\.[A-Za-z0-9_-]{16,1024}",
}
_PATTERNS = {mark: re.compile(pattern) for mark, pattern in _MARKED.items()}
_KEY_START = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_KEY_END = re.compile(r"-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
# From the sign on, since that is rare; the name before it is looked for backwards.
_VALUE = r"[ \t]{0,4}[\"']?(?P<value>[A-Za-z0-9+/_~.-]{16,256}+={0,2}+)(?![A-Za-z0-9+/_~.=-])"
_ASSIGNED = [re.compile(sign + _VALUE) for sign in "=:"]
_NAME = re.compile(r"(?i)(?:key|secret|token|passwd|password|passphrase|pwd|credentials?)[\"']?[ \t]{0,8}:?\Z")
_NAME_LENGTH = 32


@dataclass(frozen=True)
class Secret(PersonalKind):
    """Keys and tokens that open something: private keys in PEM, the tokens of AWS, GitHub, GitLab, Google, Hugging
    Face, OpenAI, Slack and Stripe, JSON Web Tokens, and random-looking values that are given to something called
    key, secret, token or password.

    Attributes:
      entropy: how random such a value must be at least, in bits per character by its own frequencies; 3.5 lies
        above almost all names and words of that length. It must also have a letter and a digit.

    Raises:
      ValueError: when `entropy` is negative.
    """

    entropy: float = 3.5
    name = "secret"
    token = "<secret>"

    def __post_init__(self) -> None:
        if self.entropy < 0:
            raise ValueError(f"Secret.entropy is {self.entropy}, but must be at least 0 bits per character")

    def find(self, text: str) -> list[Span]:
        spans = _private_keys(text) if "-----BEGIN " in text else []
        for mark, pattern in _PATTERNS.items():
            if mark in text:
                spans += [match.span() for match in pattern.finditer(text)]
        for match in (match for sign in _ASSIGNED for match in sign.finditer(text)):
            value = match.group("value")
            before = text[max(0, match.start() - _NAME_LENGTH) : match.start()]
            if _NAME.search(before) and self._is_random(value):
                spans.append(match.span("value"))
        return _outermost(spans)

    def _is_random(self, value: str) -> bool:
        mixed = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
        return mixed and entropy(value) >= self.entropy


def entropy(value: str) -> float:
    """The entropy of the frequencies of a string's characters, in bits per character (Shannon, 1948)."""
    return sum(count / len(value) * math.log2(len(value) / count) for count in Counter(value).values())


def _private_keys(text: str) -> list[Span]:
    spans: list[Span] = []
    end = 0
    while start := _KEY_START.search(text, end):
        closed = _KEY_END.search(text, start.end())
        # A key that is cut off is still the greater part of a key.
        end = closed.end() if closed else len(text)
        spans.append((start.start(), end))
    return spans


def _outermost(spans: list[Span]) -> list[Span]:
    kept: list[Span] = []
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        if not kept or start >= kept[-1][1]:
            kept.append((start, end))
    return kept
