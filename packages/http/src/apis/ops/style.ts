/** Light and dark as the reader has it; a table that is too wide for a phone becomes a list. */
export const STYLE = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; --line: light-dark(#d0d7de, #3d444d); --soft: light-dark(#57606a, #9da7b3) }
body { max-width: 80rem; margin: 0 auto; padding: 1rem; background: light-dark(#fff, #0d1117); color: light-dark(#1f2328, #e6edf3) }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 1.5rem }
h1 { font-size: 1.5rem; margin: 0 }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem }
a { color: light-dark(#0969da, #58a6ff) }
main { overflow-x: auto; padding: 0 5px }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .4rem 1rem .4rem 0; border-bottom: 1px solid var(--line); overflow-wrap: break-word }
th { color: var(--soft); font-weight: 600; white-space: nowrap }
td:first-child { white-space: nowrap }
code { font: 13px ui-monospace, monospace }
code, .long { overflow-wrap: anywhere }
form { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: end; margin: .25rem 0 }
label { display: grid; color: var(--soft) }
input, button { font: inherit; min-height: 2.25rem; padding: 0 .6rem; border: 1px solid var(--soft); border-radius: 6px; background: light-dark(#fff, #161b22); color: light-dark(#1f2328, #e6edf3) }
button { background: light-dark(#f3f4f6, #21262d); cursor: pointer }
td form { margin: 0 }
summary { cursor: pointer; padding: .25rem 0 }
td summary { padding: 0 }
:focus-visible { outline: 3px solid light-dark(#0969da, #58a6ff); outline-offset: 2px }
.notice { border: 1px solid; border-radius: 6px; padding: .5rem 1rem }
.ok, .closed, .running { color: light-dark(#1a7f37, #4ac26b) }
.degraded, .half-open, .ramp, .backoff, .paused { color: light-dark(#7d4e00, #e3b341) }
.down, .open, .unknown, .halted { color: light-dark(#b3202c, #ff8a82) }
@media (max-width: 48rem) {
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
  table, tbody, tr, td { display: block }
  tr { border-bottom: 2px solid var(--line); padding: .5rem 0 }
  td { display: grid; grid-template-columns: 7rem minmax(0, 1fr); border: 0; padding: .15rem 0 }
  td::before { content: attr(data-label); color: var(--soft) }
  td:first-child { white-space: normal }
  td:empty { display: none }
  label, input { width: 100%; box-sizing: border-box }
}
`
