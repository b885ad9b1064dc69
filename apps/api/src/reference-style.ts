export const STYLE = `
:root{color-scheme:light dark;--line:#8884;--soft:#8882;--get:#2a7;--post:#37c;--put:#a62;--delete:#c33;--patch:#a62}
body{font:15px/1.55 system-ui,sans-serif;margin:0;display:grid;grid-template-columns:19rem minmax(0,58rem);gap:2.5rem}
nav{position:sticky;top:0;height:100vh;overflow:auto;box-sizing:border-box;padding:1.5rem 1rem;border-right:1px solid var(--line);font-size:13px}
nav ul{list-style:none;margin:.25rem 0 1rem;padding:0}nav a{color:inherit;text-decoration:none;display:block;padding:.1rem 0;overflow-wrap:anywhere}
nav li a{display:flex;gap:.4rem;align-items:baseline}nav a:hover{text-decoration:underline}.tag,h2{text-transform:capitalize;font-weight:650}
main{padding:1.5rem 1rem 6rem}h2{margin-top:3rem;border-bottom:1px solid var(--line)}section{margin:2rem 0;scroll-margin-top:1rem}
h3{margin:0 0 .25rem;font-size:1.05rem}p{margin:.35rem 0}small{opacity:.7}
code,pre{font:13px/1.5 ui-monospace,monospace}pre{overflow:auto;padding:.6rem .8rem;background:var(--soft);border-radius:6px}
table{border-collapse:collapse;width:100%;margin:.6rem 0;font-size:14px}th,td{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;border-bottom:1px solid var(--line)}
th{font-weight:600;opacity:.7}td b{font-size:11px;color:var(--delete)}td:last-child{overflow-wrap:anywhere}summary{cursor:pointer;opacity:.8;font-size:14px}
.get,.post,.put,.delete,.patch{display:inline-block;flex:none;min-width:3.4rem;font-size:11px;letter-spacing:.03em}
.get{color:var(--get)}.post{color:var(--post)}.put{color:var(--put)}.delete{color:var(--delete)}.patch{color:var(--patch)}
@media(max-width:60rem){body{display:block}nav{position:static;height:auto;border:0}}
`;
