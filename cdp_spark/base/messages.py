"""Text for users and files: messages of one line, without keys."""

from __future__ import annotations

import re

LONGEST = 400
"""Longest message, in characters."""

_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
"""Control characters, which could also steer a terminal, and everything that ends a line."""
_USER = re.compile(r"(?P<scheme>\b[A-Za-z][\w+.-]*)://(?!(?:[^/@\s:]*:\d+)?/)(?P<user>[^/@\s:]*(?P<key>:[^@\s]*)?)@")
"""``user:key@`` of a URL; keys may have a slash in them. A port is not a key."""
_CONTAINER = re.compile(r"(abfs|wasb)s?$", re.IGNORECASE)
"""In Azure paths, the name before the @ is a container."""
_QUERY = re.compile(r"([?&][^=&\s]*(?:sig|secret|token|password|credential|key)[^=&\s]*=)[^&\s'\"]+", re.IGNORECASE)


def masked(text: str) -> str:
    """Replace keys in URLs.

    >>> masked("s3://key:wo/rd@lake/v3, hdfs://node:9000/a@b, abfss://faces@account/v3, https://store/v3?sig=word&k=1")
    's3://***@lake/v3, hdfs://node:9000/a@b, abfss://faces@account/v3, https://store/v3?sig=***&k=1'
    """

    def of_url(match: re.Match[str]) -> str:
        kept = match["key"] is None and _CONTAINER.match(match["scheme"])
        return match[0] if kept else f"{match['scheme']}://***@"

    return _QUERY.sub(r"\1***", _USER.sub(of_url, text)) if "://" in text else text


def one_line(text: str, longest: int = LONGEST) -> str:
    """Put a message into one line without keys; cut the middle of a long one, since its end says what to do.

    >>> one_line("two\\nlines"), len(one_line("long" * 1000))
    ('two lines', 400)
    """
    line = masked(_BREAKS.sub(" ", text)).strip()
    if len(line) <= longest:
        return line
    end = longest // 3
    return f"{line[: longest - end - 3]} … {line[-end:]}"
