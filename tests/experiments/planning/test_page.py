"""The page: whole by itself, and safe whatever a program says."""

import re
from collections.abc import Callable

from experiments.planning.page import page, search_page
from experiments.planning.record import Record
from experiments.planning.search import Row

Plan = Callable[..., Record]


def test_the_page_fetches_and_runs_nothing(plan: Plan) -> None:
    found = page(plan())
    assert not re.search(r"<script|src=|https?://|@import|url\(", found)
    assert "&lt;script&gt;alert(1)" in found
    for figure in ("9.25 GiB", "2.000 s", "3.1%", "2,048", "1.465", "all-reduce over data"):
        assert figure in found


def test_shares_of_the_memory_add_up(plan: Plan) -> None:
    bars = page(plan()).split('<div class="bar">')[1:]
    for bar in bars:
        shares = [float(share) for share in re.findall(r"flex-grow:([\d.]+)", bar.split("</section>")[0])]
        assert abs(sum(shares) - 1) < 1e-4
    assert len(bars) == 2


def test_a_search_has_a_page(plan: Plan) -> None:
    rows = [Row(("model.remat=none",), plan().as_dict()), Row((), {}, "no room for <b>it</b>")]
    found = search_page(rows, plan().request)
    assert "--set=model.remat=none" in found
    assert "no room for &lt;b&gt;it&lt;/b&gt;" in found
