"""How the report looks: light or dark as the reader's system is, on narrow and wide pages."""

__all__ = ["STYLE"]

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f7f7f5; --card: #ffffff; --ink: #1f2429; --soft: #626b74; --line: #e3e4e1;
  --measured: #22708f; --predicted: #b7791f; --band: #ecd9b4; --bad: #b4483f;
  --s0: #3f7fa6; --s1: #7a9e54; --s2: #9a6fb0; --s3: #c98b4b; --others: #a9aeb3; --own: #44566a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171a; --card: #1b1f23; --ink: #e5e8ea; --soft: #98a2ab; --line: #2d3339;
    --measured: #6db9da; --predicted: #e0ad5f; --band: #5a4927; --bad: #e58a80;
    --s0: #5b9dc4; --s1: #93b96d; --s2: #b48fc9; --s3: #d9a56c; --others: #6a7178; --own: #8593a0;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 82rem;
  background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere;
}
h1 { margin: 0.1rem 0 0.3rem; font-size: 1.9rem; font-weight: 650; line-height: 1.2; }
h2 { margin: 0 0 0.25rem; font-size: 1.05rem; font-weight: 650; }
p { margin: 0 0 0.9rem; color: var(--soft); max-width: 44rem; }
.eyebrow {
  margin: 0; color: var(--soft); font-size: 0.8rem; letter-spacing: 0.06em;
  text-transform: uppercase;
}
a { color: var(--measured); }
.tiles {
  display: grid; gap: 1rem; margin: 1.6rem 0;
  grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr));
}
.tiles div, section {
  background: var(--card); border: 1px solid var(--line); border-radius: 10px;
}
.tiles div { padding: 0.8rem 1rem; }
.tiles b { display: block; font-size: 1.55rem; font-weight: 600; line-height: 1.3; }
.tiles span { color: var(--soft); font-size: 0.85rem; }
main { display: grid; gap: 1.25rem; grid-template-columns: minmax(0, 1fr); }
section { padding: 1.2rem 1.3rem 1.1rem; min-width: 0; }
@media (min-width: 62rem) {
  main { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  section.wide { grid-column: 1 / -1; }
}
.chart {
  display: block; width: 100%; height: 19rem; padding: 10px 12px 44px 46px; overflow: visible;
}
.chart text { fill: var(--soft); font-size: 12px; }
.chart .name { font-style: italic; }
.chart line { stroke-width: 1; stroke: var(--line); }
.chart .axis { stroke: var(--soft); }
.chart .best { stroke: var(--measured); stroke-width: 2; stroke-linecap: round; }
.chart .interval { stroke: var(--band); stroke-width: 6; stroke-linecap: round; }
.chart .predicted { fill: var(--card); stroke: var(--predicted); stroke-width: 2; }
.chart .measured { fill: var(--measured); }
.chart .faint { fill-opacity: 0.4; }
.chart .miss { fill: var(--bad); }
.chart .off { fill: var(--card); stroke: var(--measured); stroke-width: 1.5; fill-opacity: 1; }
.chart .miss.off { stroke: var(--bad); }
.chart .bad { fill: var(--bad); font-size: 17px; }
.chart .spent { fill: var(--measured); fill-opacity: 0.75; }
.chart .failed { fill: var(--bad); fill-opacity: 0.75; }
.share-0 { fill: var(--s0); background: var(--s0); }
.share-1 { fill: var(--s1); background: var(--s1); }
.share-2 { fill: var(--s2); background: var(--s2); }
.share-3 { fill: var(--s3); background: var(--s3); }
.share-others { fill: var(--others); background: var(--others); }
.share-unnamed { fill: var(--line); background: var(--line); }
.share-own { fill: var(--own); background: var(--own); }
.key-measured, .key-spent { background: var(--measured); }
.key-miss, .key-failed { background: var(--bad); }
.key-predicted { border: 2px solid var(--predicted); }
.key-interval { background: var(--band); }
.legend {
  display: flex; flex-wrap: wrap; gap: 0.25rem 1.1rem; margin: 0.6rem 0 0; padding: 0;
  list-style: none; color: var(--soft); font-size: 0.85rem;
}
.swatch {
  display: inline-block; width: 0.7rem; height: 0.7rem; margin-right: 0.4rem; border-radius: 50%;
}
.bars { display: grid; grid-template-columns: auto minmax(0, 1fr) auto; gap: 0.5rem 0.9rem; }
.bars > * { align-self: center; }
.bars .meter { height: 0.6rem; background: var(--line); border-radius: 0.3rem; }
.bars .meter i {
  display: block; height: 100%; border-radius: 0.3rem; background: var(--measured); opacity: 0.8;
}
.bars .best-value, .bars .size { color: var(--soft); font-size: 0.9rem; }
.trials { font-size: 0.92rem; }
.trials summary, .trials .heading {
  display: grid; gap: 0 0.9rem; padding: 0.42rem 0; border-bottom: 1px solid var(--line);
  grid-template-columns: 3rem minmax(0, 1.1fr) minmax(0, 1.8fr) 5rem 7rem; list-style: none;
}
.trials summary { cursor: pointer; }
.trials summary::-webkit-details-marker { display: none; }
.trials summary:hover, .trials summary:focus-visible { background: var(--page); }
.trials .heading { color: var(--soft); font-size: 0.82rem; }
.trials .chosen { font-weight: 650; color: var(--measured); }
.trials .miss { color: var(--bad); }
.trials .more { color: var(--soft); }
@media (max-width: 40rem) {
  body { padding: 1.4rem 0.8rem 3rem; }
  section { padding: 1rem 0.9rem; }
  .trials summary, .trials .heading {
    grid-template-columns: 2rem minmax(0, 4.6rem) minmax(0, 1fr);
  }
  .trials .optional { display: none; }
  .chart { height: 16rem; }
}
dl {
  display: grid; grid-template-columns: 6.5rem minmax(0, 1fr); gap: 0.2rem 0.8rem;
  margin: 0.6rem 0 1rem;
}
dt { color: var(--soft); }
dd { margin: 0; }
pre {
  margin: 0 0 0.9rem; padding: 0.75rem 0.9rem; background: var(--page); border-radius: 8px;
  border: 1px solid var(--line); white-space: pre-wrap; font-size: 0.85rem; line-height: 1.5;
}
code, pre { font-family: ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace; }
footer { margin-top: 1.6rem; color: var(--soft); font-size: 0.85rem; }
@media print { body { background: none; } section { break-inside: avoid; } }
"""
"""The style sheet."""
