"""The style sheet of the HTML report: light and dark by what the reader prefers, and plain on paper.

Text has a contrast of at least 4.5 to its ground in both schemes, and no meaning rests on colour alone: every bar has
its number beside it, every verdict its word.
"""

from typing import Final

CSS: Final = """
:root {
  color-scheme: light dark;
  --ground: #f6f7f9; --card: #ffffff; --ink: #1b2330; --soft: #566072; --line: #dfe3ea; --track: #e9ecf1;
  --saved: #0f7b4f; --saved-fill: #2fa36f; --refused: #b3261e; --refused-fill: #d8574d;
  --changed: #1f5fb8; --changed-fill: #4c8be0; --rest-fill: #9aa6b8; --warn: #8a5300; --warn-fill: #d99a2b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #11151c; --card: #1a202a; --ink: #e8ecf3; --soft: #a4afc0; --line: #2d3644; --track: #29313d;
    --saved: #67d3a0; --saved-fill: #3aa876; --refused: #ff9a91; --refused-fill: #d65e54;
    --changed: #8dbbff; --changed-fill: #4f88d6; --rest-fill: #66738a; --warn: #f0bd66; --warn-fill: #c58a2a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
.skip { position: absolute; left: -999px; }
.skip:focus { left: 1rem; top: 1rem; background: var(--card); padding: .5rem 1rem; z-index: 1; }
header, main, footer { max-width: 76rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2rem; }
h1 { font-size: 1.65rem; line-height: 1.25; margin: 0 0 .25rem; letter-spacing: -.01em; }
h2 { font-size: 1.15rem; margin: 0 0 .35rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .35rem; }
p { margin: .25rem 0 .75rem; }
.soft, figcaption, caption { color: var(--soft); }
a { color: var(--changed); }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; list-style: none; margin: .75rem 0 1.25rem; padding: 0; }
section {
  background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 1.1rem 1.25rem;
  margin: 0 0 1.1rem;
}
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: .8rem; margin: 0 0 1.1rem; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: .85rem 1rem; }
.tile dt { color: var(--soft); font-size: .86rem; }
.tile dd { margin: .1rem 0 0; font-size: 1.5rem; font-weight: 650; letter-spacing: -.015em; }
.tile dd + dd { font-size: .86rem; font-weight: 400; color: var(--soft); letter-spacing: 0; }
dl.tiles { padding: 0; }
.is-saved { color: var(--saved); } .is-refused { color: var(--refused); } .is-changed { color: var(--changed); }
.is-warn { color: var(--warn); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .4rem; font-size: .9rem; }
th, td { text-align: left; padding: .42rem .7rem .42rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
thead th { color: var(--soft); font-weight: 600; font-size: .86rem; white-space: nowrap; vertical-align: bottom; }
tbody th { font-weight: 550; }
tr:last-child > * { border-bottom: 0; }
.number { text-align: right; white-space: nowrap; }
.chart { width: 9rem; min-width: 6rem; }
svg { display: block; max-width: 100%; }
svg.bar { width: 100%; height: .7rem; margin-top: .4rem; border-radius: .2rem; }
.fill-track { fill: var(--track); } .fill-rest { fill: var(--rest-fill); } .fill-warn { fill: var(--warn-fill); }
.fill-saved { fill: var(--saved-fill); } .fill-refused { fill: var(--refused-fill); }
.fill-changed { fill: var(--changed-fill); }
svg text { fill: var(--ink); font: 13px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; }
svg text.soft { fill: var(--soft); }
svg .mark { stroke: var(--ink); stroke-width: .6; vector-effect: non-scaling-stroke; }
figure { margin: .5rem 0 0; }
.legend {
  display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; margin: .5rem 0 0; padding: 0; list-style: none;
  font-size: .9rem;
}
.legend svg {
  display: inline-block; width: .8rem; height: .8rem; vertical-align: -.06rem; margin-right: .35rem;
  border-radius: .15rem;
}
.word { font-weight: 600; white-space: nowrap; }
details { border-bottom: 1px solid var(--line); padding: .5rem 0; }
details:last-of-type { border-bottom: 0; }
summary { cursor: pointer; display: flex; flex-wrap: wrap; gap: .1rem .9rem; align-items: baseline; }
summary::before { content: "\\25B8"; color: var(--soft); width: .7rem; }
details[open] > summary::before { content: "\\25BE"; }
summary:focus-visible, a:focus-visible { outline: 2px solid var(--changed); outline-offset: 2px; border-radius: .2rem; }
summary .name { font-weight: 600; } summary .end { margin-left: auto; font-variant-numeric: tabular-nums; }
ul.findings { margin: .4rem 0 .4rem 1.6rem; padding: 0; }
ul.findings li { margin: .2rem 0; overflow-wrap: anywhere; }
pre {
  background: var(--ground); border: 1px solid var(--line); border-radius: .4rem; padding: .6rem .8rem;
  margin: .3rem 0 .6rem 1.6rem; overflow-x: auto; font: 12.5px/1.45 ui-monospace, "SF Mono", Menlo, Consolas, monospace;
}
.note { border-left: .25rem solid var(--warn-fill); padding: .1rem 0 .1rem .8rem; margin: .5rem 0; }
footer { color: var(--soft); font-size: .86rem; padding-bottom: 2.5rem; }
@media print { body { background: #fff; } section, .tile { break-inside: avoid; } nav { display: none; } }
"""
