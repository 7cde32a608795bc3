"""The report as one HTML page that needs nothing else: page.html with page.css, page.js and the document in it.

The page shows whatever a runtime said.  The script puts text into the page as text only; should that ever fail, the
page's own policy lets no script run but this one, whose hash it names, and loads nothing from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from html import escape
from importlib import resources
from typing import Any


def page(data: Mapping[str, Any]) -> str:
    """The page of a document."""
    style, script = _asset("page.css"), _asset("page.js")
    parts = (
        ("@policy@", f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'"),
        ("@title@", escape(_title(data))),
        ("@style@", style),
        ("@data@", embedded(data)),
        ("@script@", script),
    )
    done, rest = "", _asset("page.html")
    for mark, text in parts:  # in the order of the template; what was put in may hold any text, a mark too
        before, _, rest = rest.partition(mark)
        done += before + text
    return done + rest


def _title(data: Mapping[str, Any]) -> str:
    names = ", ".join(runtime["name"] for runtime in data["runtimes"])
    return f"eBPF conformance: {names}"


def embedded(data: Mapping[str, Any]) -> str:
    """JSON that can stand in a script element: nothing in it ends one, or begins a comment."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    """As a content security policy names the content of an element."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
