"""Cells as pictures, SVG, PNG or PDF, by networkx and matplotlib (`pip install meta-nni[draw]`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from meta_nni.models.cells.topology import (
    DARTS_NODES,
    Edge,
    darts_cells,
    nasbench201_cell,
)
from meta_nni.trial import Config

__all__ = ["draw_cell"]

# Okabe and Ito's colours, which colour-blind readers tell apart too.
_COLOURS = {
    "skip_connect": "#000000",
    "avg_pool_3x3": "#009e73",
    "max_pool_3x3": "#56b4e9",
    "nor_conv_1x1": "#e69f00",
    "nor_conv_3x3": "#d55e00",
    "sep_conv_3x3": "#d55e00",
    "sep_conv_5x5": "#cc79a7",
    "dil_conv_3x3": "#e69f00",
    "dil_conv_5x5": "#0072b2",
}


_INPUT, _BETWEEN = "#cfe3f5", "#f2f2f2"
_INCHES = 1.6  # between neighbouring nodes
_BEND = 0.5  # height of an arc's control point per length; the arc is half as high
_MARGIN = 0.35  # around nodes and arcs, in distances of nodes
_POINTS = 1100  # area of a node


def draw_cell(config: Config, space: str, path: str | Path) -> None:
    """Draws the cell of a config, or its normal cell above its reduction cell.

    Nodes stand in a row and edges are arcs between them, named by their operations; "none"
    is left out. Thin grey arcs are what a DARTS cell concatenates.

    Args:
        config: A config of the space.
        space: "nasbench201" or "darts_cell".
        path: The file to write; its ending is the format: .svg, .png or .pdf.

    Raises:
        ValueError: There is no such space, or the config is none of it.
        ImportError: networkx or matplotlib is not installed.
    """
    try:
        import networkx  # type: ignore[import-untyped]
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            f"a drawing needs {error.name}; install it: pip install networkx matplotlib"
        ) from error

    panels = _panels(config, space)
    heights = [panel.top - panel.bottom for panel in panels]
    figure = Figure(figsize=(_INCHES * panels[0].width, _INCHES * sum(heights)))
    grid = figure.add_gridspec(
        len(panels), 1, height_ratios=heights, left=0, right=1, top=1, bottom=0, hspace=0
    )
    for row, panel in enumerate(panels):
        axis = figure.add_subplot(grid[row, 0])
        axis.set(xlim=(-_MARGIN, panel.width - _MARGIN), ylim=(panel.bottom, panel.top))
        axis.set_axis_off()
        axis.text(-0.8 * _MARGIN, panel.top - 0.6 * _MARGIN, panel.title, fontsize=11)
        _draw_panel(panel, axis, networkx)
    figure.savefig(path, dpi=120)


class _Panel(NamedTuple):
    """One cell: names of its nodes by number, edges with operations, and those without."""

    title: str
    names: dict[int, str]
    edges: tuple[Edge, ...]
    joined: tuple[tuple[int, int], ...] = ()

    @property
    def width(self) -> float:
        """Width in distances of nodes, margins included."""
        return len(self.names) - 1 + 2 * _MARGIN

    @property
    def top(self) -> float:
        """Upper end; the nodes are at 0."""
        return max(self._heights) + _MARGIN + (0.25 if self.title else 0.0)

    @property
    def bottom(self) -> float:
        """Lower end, below 0."""
        return min(self._heights) - _MARGIN

    @property
    def _heights(self) -> list[float]:
        ends = [edge[:2] for edge in self.edges if edge.operation != "none"] + [*self.joined]
        return [0.0, *(-_bend(*end) * (end[1] - end[0]) / 2 for end in ends)]


def _panels(config: Config, space: str) -> list[_Panel]:
    if space == "nasbench201":
        names = {0: "input", 1: "1", 2: "2", 3: "output"}
        return [_Panel("", names, nasbench201_cell(config))]
    if space != "darts_cell":
        raise ValueError(f"the space is {space!r}, expected 'nasbench201' or 'darts_cell'")
    last = max(DARTS_NODES) + 1
    names = {0: "$c_{k-2}$", 1: "$c_{k-1}$"} | {node: str(node) for node in DARTS_NODES}
    names[last] = "concat"
    joined = tuple((node, last) for node in DARTS_NODES)
    return [
        _Panel(f"{cell} cell", names, edges, joined) for cell, edges in darts_cells(config).items()
    ]


def _draw_panel(panel: _Panel, axis: Any, networkx: Any) -> None:
    """Draws one cell into a matplotlib axis."""
    places = {node: (float(node), 0.0) for node in panel.names}
    graph = networkx.DiGraph()
    graph.add_nodes_from(panel.names)
    ends = (0, 1) if panel.joined else (0,)
    networkx.draw_networkx_nodes(
        graph,
        places,
        ax=axis,
        node_size=_POINTS,
        node_color=[_INPUT if node in ends else _BETWEEN for node in panel.names],
        edgecolors="#555555",
    )
    networkx.draw_networkx_labels(graph, places, panel.names, ax=axis, font_size=8)
    graph.add_edges_from(panel.joined)
    for source, target in panel.joined:
        _draw_arc(graph, places, (source, target), axis, networkx, "#bbbbbb", 0.8)
    for source, target, name in panel.edges:
        if name == "none":
            continue
        graph.add_edge(source, target)
        style = _draw_arc(graph, places, (source, target), axis, networkx, _COLOURS[name], 1.6)
        networkx.draw_networkx_edge_labels(
            graph,
            places,
            {(source, target): name},
            ax=axis,
            font_size=8,
            font_color=_COLOURS[name],
            rotate=False,
            bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none"},
            connectionstyle=style,
        )


def _bend(source: int, target: int) -> float:
    """Straight to the next node, else above it for even sources and below it for odd ones."""
    if target - source == 1:
        return 0.0
    return -_BEND if source % 2 == 0 else _BEND


def _draw_arc(
    graph: Any,
    places: Mapping[int, tuple[float, float]],
    edge: tuple[int, int],
    axis: Any,
    networkx: Any,
    colour: str,
    width: float,
) -> str:
    """Draws an edge and returns how it is bent, as its label needs to know."""
    style = f"arc3,rad={_bend(*edge)}"
    networkx.draw_networkx_edges(
        graph,
        places,
        [edge],
        ax=axis,
        node_size=_POINTS,
        edge_color=colour,
        width=width,
        connectionstyle=style,
    )
    return style
