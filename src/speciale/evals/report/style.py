"""The look of the page: light and dark, wide and on a phone. Nothing is loaded from elsewhere."""

STYLE = """
:root { color-scheme: light dark; --page: #fff; --ink: #1b1d22; --muted: #666b76; --line: #dfe1e6;
  --band: #f4f5f7; --accent: #2f5fd0; --tint: #e9effc;
  --second: #b8500f; --third: #2b7a3a; }
@media (prefers-color-scheme: dark) { :root { --page: #15171b; --ink: #e6e7ea; --muted: #9aa0ac;
  --line: #343841; --band: #1d2026; --accent: #86a8ff; --tint: #222c47;
  --second: #ff9a66; --third: #78d08b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); overflow-wrap: anywhere;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 64rem; margin: 0 auto; padding: 3rem 1.5rem 5rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.01em; }
h2 { font-size: 1.2rem; margin: 3.5rem 0 .4rem; padding-top: 1.2rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 2.2rem 0 0; } h4 { font-size: .9rem; font-weight: 500; margin: 0; }
code { font: .85em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
p { margin: .4rem 0; max-width: 44rem; }
.dim, figcaption, .absent { color: var(--muted); font-size: .9rem; } .absent { font-style: italic; }
.notes { margin: 1.5rem 0 0; padding: .8rem 1rem; border-left: 3px solid var(--accent);
  background: var(--band); font-size: .9rem; }
.notes ul { margin: .3rem 0 0; padding-left: 1.2rem; }
.figures { display: grid; gap: 1.1rem 1.5rem; margin: 2rem 0 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 12.5rem), 1fr)); }
.figures dt { color: var(--muted); font-size: .85rem; }
.figures dd { margin: 0; font-size: 1.5rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.figures small { display: block; color: var(--muted); font-size: .8rem; }
.pair { display: grid; gap: 2rem 2.5rem; align-items: start; margin-top: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 25rem), 1fr)); }
.trio { display: grid; gap: 1.8rem 2rem; margin-top: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); }
.trio figure { margin: 0; }
figure { margin: 1rem 0 0; min-width: 0; } .pair figure { margin: 0; }
figure svg { display: block; width: 100%; height: auto; } figcaption { margin-top: .3rem; }
.table + .dim { margin-top: 1.6rem; }
.narrow { display: none !important; }
.table { overflow-x: auto; margin-top: 1rem; }
table { border-collapse: collapse; width: 100%; overflow-wrap: break-word; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .4rem 0 .4rem .6rem; border-bottom: 1px solid var(--line); }
thead th { color: var(--muted); font-weight: 500; }
tbody th { font-weight: 500; overflow-wrap: anywhere; }
td:not(.left) { white-space: nowrap; } .left { text-align: left; }
tr > :first-child { padding-left: 0; } tr.total > * { border-bottom: 0; font-weight: 600; }
.sample { margin: 1.8rem 0; display: flex; flex-direction: column; gap: .5rem; }
.sample > * { max-width: 85%; padding: .6rem .9rem; border-radius: .9rem; white-space: pre-wrap; }
.prompt { align-self: flex-end; background: var(--tint); border-bottom-right-radius: .2rem; }
.answer { align-self: flex-start; background: var(--band); border-bottom-left-radius: .2rem; }
.sample .thinking { align-self: flex-start; color: var(--muted); font-size: .85rem;
  padding: 0 0 0 .9rem; border-left: 2px solid var(--line); border-radius: 0; }
.sample .about { align-self: flex-start; padding: 0 .9rem; color: var(--muted); font-size: .8rem; }
summary { cursor: pointer; color: var(--muted); }
pre { white-space: pre-wrap; background: var(--band); padding: .8rem 1rem; border-radius: .4rem;
  font: .85rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.5rem; }
.facts dt { color: var(--muted); } .facts dd { margin: 0; }
@media (max-width: 42rem) {
  main { padding: 2rem 1rem 4rem; }
  .figures { grid-template-columns: 1fr 1fr; }
  .wide { display: none !important; }
  .narrow { display: block !important; }
  .stack thead { display: none; } table { font-size: .8rem; }
  .stack tr { display: grid; grid-template-columns: 1fr 1fr; gap: 0 1.5rem; padding: .7rem 0;
    border-bottom: 1px solid var(--line); }
  .stack th { grid-column: 1 / -1; }
  .stack :is(th, td) { display: flex; justify-content: space-between; padding: 0; border: 0; }
  .stack td::before { content: attr(data-label); color: var(--muted); font-weight: 400; }
  .sample > * { max-width: 95%; }
}
"""
