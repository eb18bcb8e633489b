"""The page: sections turned into one HTML file that loads nothing and may load nothing."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Sequence
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from search.report import plots
from search.report.blocks import Live, Section

SCRIPT = re.compile(r"<script[^>]*>(.*?)</script>", re.DOTALL)
POLICY = "@@policy@@"  # where the policy goes, once it is known which scripts the page holds


def render(title: str, headline: str, written: str, sections: Sequence[Section]) -> str:
    """The page.

    Its policy lets it load nothing over any network, and run no script but those that it came with.

    Args:
        title: Of the page.
        headline: The verdict in a few words.
        written: When and by what, in words.
        sections: In order; empty ones are left out.
    """
    shown = [section for section in sections if section.blocks]
    live = any(isinstance(block, Live) for section in shown for block in section.blocks)
    page = (
        _environment()
        .get_template("report.html")
        .render(
            title=title,
            headline=headline,
            written=written,
            sections=shown,
            plotly=Markup(plots.plotly_js()) if live else None,  # noqa: S704 - the library as it is installed
            policy=POLICY,
        )
    )
    return page.replace(POLICY, policy(page), 1)


def policy(page: str) -> str:
    """A Content-Security-Policy under which a page runs its own scripts and reaches no network.

    Plotly writes styles, and the pictures that it offers to save are blobs.
    """
    hashes = [b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in SCRIPT.findall(page)]
    scripts = " ".join(f"'sha256-{digest}'" for digest in dict.fromkeys(hashes))
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {scripts}" if scripts else "script-src 'none'",
            "style-src 'unsafe-inline'",
            "img-src data: blob:",
            "connect-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


@cache
def _environment() -> Environment:
    """Templates in which every text is escaped unless it is markup of our own making."""
    environment = Environment(
        loader=PackageLoader("search.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["kind"] = lambda block: type(block).__name__.lower()
    environment.filters["markup"] = Markup
    return environment
