"""Names of leftovers of file browsers, editors and file systems."""

from __future__ import annotations

import re

_NAMES = (
    r"\.DS_Store", r"\._.*", r"\.localized", r"\.AppleDouble", r"__MACOSX", r"\.fseventsd", r"\.Spotlight-V100",
    r"\.TemporaryItems", r"\.Trashes", r"Icon\r",  # macOS
    r"Thumbs\.db(:encryptable)?", r"ehthumbs(_vista)?\.db", r"[Dd]esktop\.ini", r"\$RECYCLE\.BIN",
    r"System Volume Information", r"~\$.*",  # Windows
    r"\.directory", r"\.Trash-\d+", r"\.thumbnails", r"\.goutputstream-\w+", r"\.~lock\..*#", r".*~", r"\..*\.sw[a-p]",
    r"lost\+found",  # Linux
    r"\.ipynb_checkpoints", r"\.git(keep|ignore|attributes)", r"\.keep",  # notebooks and repositories
    r"\.nfs\w+", r"\.fuse_hidden\w+", r"\.snapshot", r"@eaDir", r"#(recycle|snapshot)", r".*_\$folder\$",  # stores
)  # fmt: skip
_PATTERN = re.compile("|".join(_NAMES))


def is_browsers(name: str) -> bool:
    """Return whether a name is that of such a leftover.

    >>> is_browsers(".DS_Store"), is_browsers("Thumbs.db"), is_browsers("names.csv"), is_browsers(".secret")
    (True, True, False, False)
    """
    return _PATTERN.fullmatch(name) is not None
