"""Claims about `docs/metrics.md` (shell): every metric stands in it, with what to do."""

import re

from tests.readme.metric_advice import ADVICE
from tests.readme.metrics_page import PAGE, metrics_table, shown_metrics, with_table


def test_there_is_advice_for_every_metric_and_for_nothing_else() -> None:
    assert {name for name, _ in shown_metrics()} == set(ADVICE)


def test_the_page_is_the_newest() -> None:
    assert with_table(PAGE.read_text()) == PAGE.read_text(), "run: python -m tests.generated"


def test_advice_names_only_metrics_that_there_are() -> None:
    named = re.findall(r"`((?:bridge|process)_[a-z_]+)`", PAGE.read_text())
    assert set(named) == set(ADVICE)


def test_a_row_ends_in_what_to_do() -> None:
    assert [
        row for row in metrics_table().splitlines() if row.startswith("| `") and not row.endswith(". |")
    ] == []
