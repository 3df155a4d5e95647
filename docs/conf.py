"""Settings of the documentation: Sphinx, Markdown, API pages from docstrings. ``make docs`` builds ``docs/_build``."""

import importlib.metadata
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from reference_pages import write_pages

project = "cdp-spark"
release = importlib.metadata.version("cdp-spark")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_show_copyright = False
html_title = f"cdp-spark {release}"
myst_heading_anchors = 3
autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
nitpicky = False
highlight_language = "text"

logging.getLogger("faiss").setLevel(logging.WARNING)

write_pages(Path(__file__).parent / "reference")
