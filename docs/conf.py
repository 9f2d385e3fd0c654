"""Sphinx configuration: Markdown pages (MyST), the built-in theme, API pages from docstrings."""

from __future__ import annotations

import onnes

project = "onnes"
author = "the onnes contributors"
copyright = "the onnes contributors, MIT licence"
version = release = onnes.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

html_theme = "alabaster"
html_theme_options = {"description": "Find superconductors, with evidence", "fixed_sidebar": True}

default_role = "code"
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_rtype = False
