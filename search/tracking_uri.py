"""Which tracking URIs are supported, and how one is shown."""

from __future__ import annotations

import re

from data_prep.problems import InputError

SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql")


def check_uri(uri: str) -> None:
    """Refuse a tracking URI that is not supported.

    Raises:
        InputError: The scheme is another, or the path of an SQLite file is relative.
    """
    scheme, _, rest = uri.partition("://")
    if not rest or scheme.partition("+")[0] not in SCHEMES:
        legal, shown = ", ".join(SCHEMES), without_password(uri)
        raise InputError(f"tracking URI: the scheme must be one of {legal}, but got {shown!r}")
    if scheme == "sqlite" and not rest.startswith("//"):
        raise InputError(f"tracking URI: an SQLite path must be absolute (sqlite:////...), but got {uri!r}")


def without_password(uri: str) -> str:
    """The URI, or a text with URIs in it, fit for messages.

    A password that should have been encoded, as it holds @ or /, is hidden too.

    >>> without_password("https://jo:secret@mlflow.example:5000")
    'https://jo:***@mlflow.example:5000'
    >>> without_password("postgresql://jo:s@cr/t@db/x"), without_password("postgresql://jo@db/x?password=t")
    ('postgresql://jo:***@db/x', 'postgresql://jo@db/x?password=***')
    """
    uri = re.sub(r"(://[^/:@\s]*):\S*@", r"\1:***@", uri)
    return re.sub(r"(?<=[?&]password=)[^&\s]*", "***", uri)
