"""Licences are read as SPDX means them, and nothing unknown slips through."""

import pytest

from data.curation.licence import AllowSource, AssumeLicence, DenySource, LicencePolicy
from data.curation.spdx import read_licence
from data.curation.unknown import KeepUnknown
from data.document import Document
from data.spec import build, describe

POLICY = LicencePolicy(("MIT", "Apache-2.0", "CC0-1.0", "CC-BY-*"), deny=("CC-BY-NC-*", "GPL-*", "AGPL-*"))


def outcome(policy: LicencePolicy, licence: str, source: str = "s") -> dict[str, int]:
    document = Document("text", "d", source, licence)
    verdict = policy.start()(document)
    assert verdict.document in (document, None)
    kept = {"kept": 1} if verdict.document else {}
    return kept | dict(verdict.reasons)


@pytest.mark.parametrize(
    ("written", "expression"),
    [
        ("mit", "MIT"),
        ("MIT License", "MIT"),
        ("cc-by-4.0", "CC-BY-4.0"),
        ("https://creativecommons.org/licenses/by-nc-sa/3.0/us/", "CC-BY-NC-SA-3.0"),
        ("http://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("creativecommons.org/licenses/by/4.0/deed.de", "CC-BY-4.0"),
        ("Public Domain", "LicenseRef-scancode-public-domain"),
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("GPL-3.0", "GPL-3.0-only"),
        ("GPL-2.0+", "GPL-2.0-or-later"),
        ("odc-by", "ODC-By-1.0"),
        ("(mit or gpl-3.0) and cc0-1.0", "(MIT OR GPL-3.0-only) AND CC0-1.0"),
        ("unknown", None),
        (" NOASSERTION ", None),
        ("", None),
        ("MIT OR", None),
        ("all rights reserved, see page 3", None),
    ],
)
def test_licences_are_read(written: str, expression: str | None) -> None:
    assert read_licence(written) == expression


@pytest.mark.parametrize(
    ("licence", "result"),
    [
        ("MIT", {"kept": 1}),
        ("cc-by-sa-3.0", {"kept": 1}),
        ("CC-BY-NC-4.0", {"licence denied: CC-BY-NC-4.0": 1}),
        ("MIT OR GPL-3.0", {"kept": 1}),
        ("MIT AND GPL-3.0", {"licence denied: MIT AND GPL-3.0-only": 1}),
        ("(GPL-2.0 OR Apache-2.0) AND MIT", {"kept": 1}),
        ("GPL-2.0-only WITH Classpath-exception-2.0",
         {"licence denied: GPL-2.0-only WITH Classpath-exception-2.0": 1}),
        ("BSD-3-Clause", {"licence not allowed: BSD-3-Clause": 1}),
        ("MIT AND BSD-3-Clause", {"licence not allowed: MIT AND BSD-3-Clause": 1}),
        ("unknown", {"licence unknown": 1}),
        ("my-own-terms", {"licence unknown": 1}),
        ("MIT AND my-own-terms", {"licence unknown": 1}),
        ("MIT OR my-own-terms", {"kept": 1}),
        ("GPL-3.0 AND my-own-terms", {"licence denied: GPL-3.0-only AND my-own-terms": 1}),
    ],
)  # fmt: skip
def test_choices_take_the_best_and_sums_the_worst(licence: str, result: dict[str, int]) -> None:
    assert outcome(POLICY, licence) == result


def test_unknown_is_kept_only_where_it_is_spelled_out() -> None:
    open_policy = LicencePolicy(("MIT",), deny=("GPL-*",), unknown=KeepUnknown())
    assert outcome(open_policy, "unknown") == {"kept": 1, "licence unknown, kept": 1}
    assert outcome(open_policy, "BSD-3-Clause") == {"licence not allowed: BSD-3-Clause": 1}
    assert outcome(LicencePolicy(("*",)), "unknown") == {"licence unknown": 1}


def test_sources_can_be_denied_allowed_or_assumed() -> None:
    rules = (DenySource("bad/*"), AllowSource("ours"), AssumeLicence("wiki*", "CC-BY-SA-4.0"))
    policy = LicencePolicy(("MIT", "CC-BY-SA-*"), ("GPL-*",), sources=rules)
    assert outcome(policy, "MIT", "bad/one") == {"source denied": 1}
    assert outcome(policy, "unknown", "ours") == {"kept": 1}
    assert outcome(policy, "GPL-3.0", "ours") == {"licence denied: GPL-3.0-only": 1}
    assert outcome(policy, "unknown", "wiki-en") == {"kept": 1}
    assert outcome(policy, "Zlib", "wiki-en") == {"licence not allowed: Zlib": 1}
    assert build(describe(policy), LicencePolicy) == policy


def test_a_pattern_that_fits_nothing_is_told() -> None:
    with pytest.raises(ValueError, match="allow has 'mit', which fits no licence of SPDX; did you mean 'MIT'"):
        LicencePolicy(("mit",))
    with pytest.raises(ValueError, match="LicencePolicy.deny has 'GLP-.*; write an SPDX identifier"):
        LicencePolicy(("MIT",), ("GLP-*",))
    with pytest.raises(ValueError, match="AssumeLicence.licence is 'free stuff"):
        AssumeLicence("s", "free stuff (")
