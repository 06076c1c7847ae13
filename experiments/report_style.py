"""The style of the report page: light, in print too, from a phone to a wide screen."""

# Colours that are told apart with any kind of sight (Okabe and Ito 2008), the yellow darkened for paper.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#b8860b", "#000000", "#7f7f7f")

STYLE = """
:root { --ink: #1f2421; --soft: #6a726d; --rule: #dcdfd8; --paper: #fcfcf9; --card: #fff;
        --leaf: #2f6b4f; --pale: #a9c6b6; --clay: #c0562f; --stone: #8b8576; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink);
       font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1, h2 { font-family: "Iowan Old Style", Palatino, "Palatino Linotype", Georgia, "DejaVu Serif", serif;
         font-weight: 600; line-height: 1.15; letter-spacing: -.01em; }
h1 { font-size: clamp(1.9rem, 5vw, 2.7rem); margin: .15rem 0 .4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.35rem; margin: 2.6rem 0 .8rem; padding-top: .9rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p { margin: .4rem 0; }
a { color: var(--leaf); }
.over { color: var(--leaf); font-size: .78rem; font-weight: 600; letter-spacing: .09em; text-transform: uppercase; }
.soft, .note { color: var(--soft); }
.lead { font-size: 1.1rem; max-width: 46rem; }
.soft { font-size: .9rem; overflow-wrap: anywhere; }
.note { font-size: .85rem; margin: .2rem 0 0; }
.warning { color: #9c2b12; font-size: .9rem; }
dl.figures { display: flex; flex-wrap: wrap; gap: 1px; margin: 1.6rem 0 0; padding: 1px; background: var(--rule);
             border-radius: 6px; overflow: hidden; }
dl.figures div { background: var(--card); padding: .8rem .95rem .75rem; flex: 1 1 9.6rem; }
dl.figures .wide { flex: 2 1 19rem; }
dt { color: var(--soft); font-size: .8rem; }
dd { margin: .05rem 0 0; font-size: 1.45rem; line-height: 1.25; font-variant-numeric: tabular-nums;
     letter-spacing: -.01em; }
.wide dd { font-size: 2.2rem; color: var(--leaf); font-weight: 600; line-height: 1.1; }
dd small { display: block; font-size: .8rem; font-weight: 400; line-height: 1.35; letter-spacing: 0;
           color: var(--soft); }
.charts { display: grid; grid-template-columns: repeat(6, 1fr); gap: 1.6rem 1.8rem; }
figure { margin: 0; grid-column: span 2; min-width: 0; break-inside: avoid; }
figure.big { grid-column: span 3; }
figcaption { font-weight: 600; font-size: .95rem; margin-bottom: .3rem; }
figcaption span { font-weight: 400; color: var(--soft); margin-left: .4rem; font-size: .85rem; }
figcaption i { display: inline-block; width: 1.1em; height: 0; border-top: 3px solid; margin: 0 .3em .25em .6em; }
i.main { color: var(--leaf); } i.raw { color: var(--pale); } i.eval { color: var(--clay); }
svg { display: block; width: 100%; height: auto; }
svg text { font-size: 12px; fill: var(--soft); font-variant-numeric: tabular-nums; }
figure:not(.big) svg text { font-size: 15px; }
svg text.level { fill: #6f6a5d; }
svg path { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
svg .grid { stroke: #e8eae4; } svg .level { stroke-dasharray: 5 4; } svg line.level { stroke: var(--stone); }
svg path.main { stroke: var(--leaf); } svg circle.main { fill: var(--leaf); }
svg path.raw { stroke: var(--pale); stroke-width: 1.25; } svg circle.raw { fill: var(--pale); }
svg path.eval { stroke: var(--clay); } svg circle.eval { fill: var(--clay); }
.bar { display: flex; gap: 1px; height: 1.5rem; border-radius: 4px; overflow: hidden; }
.bar div { min-width: 2px; flex-basis: 0; background: currentColor; }
ul.parts { list-style: none; display: flex; flex-wrap: wrap; gap: .3rem 1.6rem; margin: .7rem 0 0; padding: 0;
           font-size: .9rem; }
ul.parts i { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .45em;
             background: currentColor; }
ul.parts span { color: var(--soft); font-variant-numeric: tabular-nums; }
.part0 { color: var(--leaf); } .part1 { color: #7fae97; } .part2 { color: #d9a441; } .part3 { color: #8b8576; }
.part4 { color: #5b7fa6; } .part5 { color: #c9c6ba; } .part6 { color: var(--clay); } .part7 { color: #8a2f16; }
span.key i { display: inline-block; width: 1.1em; border-top: 3px solid; margin: 0 .3em .25em .6em; }
pre, code { font: .84rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
pre { background: var(--card); border: 1px solid var(--rule); border-radius: 6px; padding: .8rem 1rem; margin: .6rem 0;
      white-space: pre-wrap; overflow-wrap: anywhere; }
details { border-bottom: 1px solid var(--rule); }
details > div { padding: 0 0 1rem; overflow-x: auto; }
h2 span { font: .85rem system-ui, sans-serif; margin-left: .5rem; letter-spacing: 0; }
.sample { margin: 1rem 0 0; font-size: .85rem; color: var(--soft); }
.sample + pre { margin-top: .25rem; }
summary { cursor: pointer; padding: .65rem 0; font-weight: 600; }
summary span, h2 span { font-weight: 400; color: var(--soft); }
table { border-collapse: collapse; font-size: .86rem; margin: .4rem 0; }
th, td { text-align: left; vertical-align: top; padding: .22rem 1.2rem .22rem 0; border-bottom: 1px solid #eceee8;
         overflow-wrap: anywhere; }
th { color: var(--soft); font-weight: 600; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
td:first-child { min-width: 7rem; }
td pre { border: 0; padding: 0; margin: 0; background: none; }
@media (max-width: 46rem) {
  main { padding: 1.5rem 1rem 3rem; }
  .charts { grid-template-columns: 1fr; }
  figure, figure.big { grid-column: auto; }
  svg text, figure:not(.big) svg text { font-size: 15px; }
  dl.figures div { flex-basis: 8.5rem; }
  dl.figures .wide { flex-basis: 100%; }
  dd { font-size: 1.2rem; }
}
@media print {
  :root { --paper: #fff; }
  main { max-width: none; padding: 0; }
  body { font-size: 10.5pt; }
  pre, tr, dl.figures div { break-inside: avoid; }
  h2 { break-after: avoid; }
}
"""
