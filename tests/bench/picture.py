"""
The rates as a picture for the README (pure).

Some sixty lines instead of a plotting library: the smallest that draws bars brings a dozen packages and a font stack into
the lock of a project that draws one picture.
"""

from collections.abc import Iterator
from html import escape
from typing import Final

from tests.bench.cases import BARE, CASES, EMBEDDED, IGGY, IGGY_HTTP, SDK, Case, Kind
from tests.bench.results import Results
from tests.bench.samples import Spread, spread

__all__ = ("svg",)

#: Okabe and Ito's colours, which colour-blind people tell apart.
_COLOURS: Final = {
    BARE: "#999999",
    EMBEDDED: "#009e73",
    IGGY["replicated"]: "#0072b2",
    IGGY["persisted"]: "#56b4e9",
    SDK["replicated"]: "#e69f00",
    SDK["persisted"]: "#f0c35e",
    IGGY_HTTP: "#d55e00",
}
_WIDTH: Final = 480
_LABEL: Final = 150
_BARS: Final = 230
_ROW: Final = 18
_HEAD: Final = 30
_GAP: Final = 18


def _shown(results: Results, case: Case) -> dict[str, Spread]:
    """Messages a second. A bare handler that reads a batch and drops it would dwarf all who keep it."""
    return {
        target: spread([rate * case.messages for rate in results.rates(case, target)])
        for target in case.targets
        if results.has(case, target)
        and (target != BARE or case.key.startswith("post") or case.kind is Kind.FAN_OUT)
    }


def _bar(target: str, figure: Spread, most: float, top: float) -> Iterator[str]:
    middle, scale = top + _ROW / 2, _BARS / most
    yield f'<text x="{_LABEL - 6}" y="{middle + 4:.0f}" text-anchor="end">{escape(target)}</text>'
    width = figure.median * scale
    yield f'<rect x="{_LABEL}" y="{top + 3:.0f}" width="{width:.1f}" height="{_ROW - 6}" fill="{_COLOURS[target]}"/>'
    least, end = (_LABEL + edge * scale for edge in (figure.least, figure.most))
    yield f'<path d="M{least:.1f} {middle:.1f}H{end:.1f}" stroke="#222"/>'
    yield f'<text x="{end + 6:.1f}" y="{middle + 4:.0f}">{figure.median:,.0f}</text>'


def _panel(case: Case, shown: dict[str, Spread]) -> Iterator[str]:
    yield f'<text x="8" y="20" font-weight="bold">{escape(case.title)}</text>'
    most = max(figure.most for figure in shown.values())
    for number, (target, figure) in enumerate(shown.items()):
        yield from _bar(target, figure, most, _HEAD + number * _ROW)


def svg(results: Results) -> str:
    """One panel for each case, two in a row, each on its own scale: bars are medians, lines the range of the rounds."""
    panels = [(case, shown) for case in CASES if (shown := _shown(results, case))]
    lines = []
    top = 34
    for begin in range(0, len(panels), 2):
        pair = panels[begin : begin + 2]
        for column, (case, shown) in enumerate(pair):
            body = "".join(_panel(case, shown))
            lines.append(f'<g transform="translate({column * _WIDTH} {top})">{body}</g>')
        top += _HEAD + _GAP + _ROW * max(len(shown) for _, shown in pair)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * _WIDTH}" height="{top}" '
        f'viewBox="0 0 {2 * _WIDTH} {top}" font-family="sans-serif" font-size="12" fill="#222">\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n'
        f'<text x="8" y="24" font-size="15">Messages a second; each panel has its own scale</text>\n'
        + "\n".join(lines)
        + "\n</svg>\n"
    )
