"""One HTML file with everything in it: no scripts, no fonts, no addresses elsewhere, so it opens in ten years."""

from __future__ import annotations

import base64
import html
import math

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1f2933;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.6rem;border-bottom:1px solid #e4e7eb}
h3{font-size:1rem;margin-top:1.6rem}
table{border-collapse:collapse;width:100%;font-size:.87rem}td,th{padding:.25rem .6rem;text-align:left;
vertical-align:top;border-bottom:1px solid #e4e7eb;overflow-wrap:anywhere}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.good{color:#1d7a52}.bad{color:#b42318}.muted{color:#616e7c}.warn{background:#fff3cd;padding:.5rem .8rem}
img{max-width:100%}audio{width:100%}summary{cursor:pointer;margin-top:.8rem;color:#0b6bcb}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:.78rem;background:#f5f7fa;padding:.8rem}
"""


def document(title: str, body: str) -> str:
    """The page."""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style><h1>{html.escape(title)}</h1>{body}</html>\n"
    )


def figure(title: str, data: bytes) -> str:
    """A picture under its title."""
    return f"<h3>{html.escape(title)}</h3>{image(data, title)}"


def folded(title: str, content: str) -> str:
    """Fold away what few readers want, closed until it is clicked."""
    return f"<details><summary>{html.escape(title)}</summary>{content}</details>"


def number(value: float) -> str:
    """A figure for people: three places, fewer for large numbers, two digits of small ones, a dash where there is none."""
    if math.isnan(value):
        return "–"  # noqa: RUF001
    if math.isinf(value):
        return "∞"
    if 0 < abs(value) < 0.01:
        return f"{value:.2g}"
    return f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"


def image(data: bytes, text: str = "") -> str:
    """A PNG inside the page."""
    return f'<img alt="{html.escape(text)}" src="data:image/png;base64,{encoded(data)}">'


def encoded(data: bytes) -> str:
    """Bytes as base64 text."""
    return base64.b64encode(data).decode()
