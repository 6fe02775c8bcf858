"""Elements of HTML and SVG. The standard library's serialiser escapes all text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from meta_nni.cli.text import shown

__all__ = ["Child", "Element", "serialise", "tag"]

Child: TypeAlias = "Element | str | Iterable[Element | str | None] | None"
"""What an element may hold: elements, text, nothing, or several of these."""


def tag(name: str, /, *children: Child, **attributes: str | float | None) -> Element:
    """Returns an element.

    Args:
        name: Of the tag.
        children: What it holds. Characters that do not print are escaped in texts.
        attributes: By name, `_` for `-` and a last `_` dropped, as in `class_`; None is
            left out.
    """
    element = Element(name)
    for key, value in attributes.items():
        if value is not None:
            element.set(key.rstrip("_").replace("_", "-"), shown(str(value)))
    for child in children:
        _append(element, child)
    return element


def _append(element: Element, child: Child) -> None:
    if isinstance(child, Element):
        element.append(child)
    elif isinstance(child, str):
        text = "\n".join(map(shown, child.split("\n")))
        if len(element):
            element[-1].tail = (element[-1].tail or "") + text
        else:
            element.text = (element.text or "") + text
    elif child is not None:
        for each in child:
            _append(element, each)


def serialise(element: Element) -> str:
    """Returns an element as HTML."""
    return ElementTree.tostring(element, encoding="unicode", method="html")
