// The page: a text that a person and a model write together.
//
// A work is a list of pieces, each typed by the person or a token of the model with what else it could have been.  What
// is on the paper is always the list: after a person has typed, the difference becomes a piece, and tokens that were not
// touched stay tokens.  Every change is a step that can be taken back.
import {words} from "/words.js";

const $ = id => document.getElementById(id);
const make = (name, props = {}, ...children) => {
  const e = Object.assign(document.createElement(name), props);
  e.append(...children);
  return e;
};
const load = (key, otherwise) => {
  try { return JSON.parse(localStorage.getItem("wabun." + key)) ?? otherwise; } catch { return otherwise; }
};
const save = (key, value) => {
  try { localStorage.setItem("wabun." + key, JSON.stringify(value)); } catch { /* full, or not allowed: not kept */ }
};

// ---- state ----------------------------------------------------------------------------------------------------------

const usual = {temperature: 0.9, top_p: 0.95, max_tokens: 60, n: 3, model: null};
const state = {
  pieces: [], past: [], future: [], work: null, abort: null, models: [], composing: false,
  lang: load("lang", (navigator.language || "ja").startsWith("ja") ? "ja" : "en"),
  sets: load("sets", [{...usual}, {...usual, temperature: 0.4}]), set: 0,
  look: load("look", {colours: false, borders: false, vertical: false, theme: "auto", sentence: false, compare: false}),
};
const t = (key, ...values) => values.reduce((s, v, i) => s.replace("{" + i + "}", v), words[state.lang][key] ?? key);
const textOf = pieces => pieces.map(p => p.s).join("");

// ---- the paper ------------------------------------------------------------------------------------------------------

const paper = $("paper");
const grade = lp => lp > -0.22 ? 0 : lp > -1.2 ? 1 : lp > -2.5 ? 2 : lp > -4.5 ? 3 : 4;
const span = p => {
  const e = make("span", {textContent: p.s});
  if (p.lp !== undefined) {
    e.className = "m c" + grade(p.lp);
    e.piece = p;
  }
  return e;
};

// A newline at the very end of an editable element is not shown unless something follows it.
const render = (caret = null) => {
  paper.replaceChildren(...state.pieces.filter(p => p.s).map(span));
  if (textOf(state.pieces).endsWith("\n")) paper.append(make("br"));
  if (caret !== null) place(caret);
};
const shown = () => {
  let s = "";
  const walk = node => {
    for (const n of node.childNodes) {
      if (n.nodeType === Node.TEXT_NODE) s += n.data;
      else if (n.nodeName === "BR") s += n === paper.lastChild && s.endsWith("\n") ? "" : "\n";
      else {
        if (n.nodeName === "DIV" && s && !s.endsWith("\n")) s += "\n";
        walk(n);
      }
    }
  };
  walk(paper);
  return s;
};
const caretNow = () => {
  const sel = getSelection();
  if (!sel.rangeCount || !paper.contains(sel.anchorNode)) return null;
  const r = document.createRange();
  r.setStart(paper, 0);
  r.setEnd(sel.focusNode, sel.focusOffset);
  return r.toString().length;
};
const place = offset => {
  const r = document.createRange(), walker = document.createTreeWalker(paper, NodeFilter.SHOW_TEXT);
  let node = null, left = offset;
  while (walker.nextNode()) {
    node = walker.currentNode;
    if (left <= node.data.length) break;
    left -= node.data.length;
  }
  if (node) r.setStart(node, Math.min(left, node.data.length));
  else r.setStart(paper, 0);
  r.collapse(true);
  const sel = getSelection();
  sel.removeAllRanges();
  sel.addRange(r);
};

// What a person has changed becomes a piece; tokens outside of it stay.
const reconcile = () => {
  const before = textOf(state.pieces), now = shown();
  if (before === now) return;
  let a = 0, z = 0;
  while (a < before.length && a < now.length && before[a] === now[a]) a++;
  while (z < before.length - a && z < now.length - a && before[before.length - 1 - z] === now[now.length - 1 - z]) z++;
  const head = [], tail = [];
  let at = 0, from = 0, to = now.length;
  for (const p of state.pieces) {
    const end = at + p.s.length;
    if (end <= a) { head.push(p); from = end; }
    else if (at >= before.length - z) { if (!tail.length) to = at + now.length - before.length; tail.push(p); }
    at = end;
  }
  remember();
  state.pieces = join([...head, {s: now.slice(from, to)}, ...tail]);
  keep();
};
// Pieces of a person that follow each other are one.
const join = pieces => pieces.filter(p => p.s).reduce((list, p) => {
  const last = list.at(-1);
  if (last && last.lp === undefined && p.lp === undefined) list[list.length - 1] = {s: last.s + p.s};
  else list.push(p);
  return list;
}, []);

// ---- steps that can be taken back, works that are kept --------------------------------------------------------------

let typed = 0;
const remember = () => {
  const now = Date.now(), typing = !state.abort && now - typed < 1200 && state.past.length > 0;
  if (!state.abort) typed = now;
  if (!typing) state.past.push(state.pieces);
  if (state.past.length > 200) state.past.shift();
  state.future = [];
  buttons();
};
const step = (from, to) => {
  if (!from.length) return;
  to.push(state.pieces);
  state.pieces = from.pop();
  typed = 0;
  render(textOf(state.pieces).length);
  keep();
};
const undo = () => { reconcile(); step(state.past, state.future); };
const redo = () => step(state.future, state.past);

let timer = 0;
const keep = () => {
  buttons();
  clearTimeout(timer);
  timer = setTimeout(write, 400);
};
const slim = p => p.lp === undefined ? {s: p.s} : {s: p.s, lp: p.lp, o: p.o};
const write = () => {
  const text = textOf(state.pieces), list = load("works", []).filter(w => w.id !== state.work);
  if (!text.trim()) return;
  list.unshift({id: state.work, at: Date.now(), title: text.trim().slice(0, 40)});
  for (const w of list.splice(60)) localStorage.removeItem("wabun.work." + w.id);
  save("works", list);
  save("work." + state.work, state.pieces.map(slim));
  save("last", state.work);
  if (!$("works").hidden) listWorks();
};
const openWork = id => {
  state.work = id;
  state.pieces = load("work." + id, []);
  state.past = [], state.future = [];
  $("branches").hidden = true;
  render();
  buttons();
};
const fresh = () => {
  stop();
  write();
  openWork(crypto.randomUUID?.() ?? String(Date.now()) + Math.random());
  save("last", null);
  listWorks();
  paper.focus();
};
const listWorks = () => {
  const date = new Intl.DateTimeFormat(state.lang, {month: "short", day: "numeric", hour: "2-digit", minute: "2-digit"});
  $("work-list").replaceChildren(...load("works", []).map(w => {
    const open = make("button", {type: "button", className: "open", onclick: () => { stop(); write(); openWork(w.id); save("last", w.id); listWorks(); }},
      make("b", {textContent: w.title}), make("small", {textContent: date.format(w.at)}));
    open.setAttribute("aria-current", String(w.id === state.work));
    const drop = make("button", {type: "button", className: "drop", textContent: "×", onclick: () => {
      save("works", load("works", []).filter(x => x.id !== w.id));
      localStorage.removeItem("wabun.work." + w.id);
      if (w.id === state.work) { state.pieces = []; fresh(); }
      listWorks();
    }});
    drop.setAttribute("aria-label", t("drop", w.title));
    return make("li", {}, open, drop);
  }));
};

// ---- the server -----------------------------------------------------------------------------------------------------

const headers = () => {
  const key = sessionStorage.getItem("wabun.key");
  return {"Content-Type": "application/json", ...(key ? {Authorization: "Bearer " + key} : {})};
};
const failed = async response => {
  let message = response.statusText;
  try { message = (await response.json()).error.message; } catch { /* no JSON */ }
  if (response.status === 401) {
    $("key-form").hidden = false;
    message = t("need-key");
  } else if (response.status === 429 || response.status === 503) {
    message = t("busy");
  }
  return new Error(message);
};
// Tokens of completions as they come: each(index, text, pieces), where pieces have log-probabilities and other words.
const ask = async (settings, n, each) => {
  const body = {prompt: textOf(state.pieces), model: settings.model ?? undefined, n, stream: true, logprobs: 6, max_tokens: settings.max_tokens,
    temperature: settings.temperature, top_p: settings.top_p, ...(state.look.sentence ? {stop: ["。"]} : {})};
  const response = await fetch("/v1/completions", {method: "POST", headers: headers(), body: JSON.stringify(body), signal: state.abort.signal});
  if (!response.ok) throw await failed(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = "";;) {
    const {value, done} = await reader.read();
    if (done) return;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      if (event === "data: [DONE]") return;
      const data = JSON.parse(event.slice(6));
      if (data.error) throw new Error(data.error.message);
      for (const c of data.choices) each(c.index, piecesOf(c), c.finish_reason);
    }
  }
};
// Tokens that are parts of characters come with those that complete them: one piece, as sure as all of them together.
const piecesOf = c => {
  const list = [], l = c.logprobs;
  if (!l || !l.tokens.length) return c.text ? [{s: c.text, lp: 0, o: []}] : [];
  let left = c.text, lp = 0, parts = false;
  l.tokens.forEach((token, i) => {
    lp += l.token_logprobs[i];
    if (token.startsWith("bytes:") || !left.startsWith(token)) { parts = true; return; }
    const o = parts ? [] : Object.entries(l.top_logprobs[i]).filter(([s]) => !s.startsWith("bytes:") && !s.startsWith("<|")).sort((x, y) => y[1] - x[1]);
    list.push({s: token, lp, o});
    left = left.slice(token.length), lp = 0, parts = false;
  });
  if (left) list.push({s: left, lp, o: []}); // of whole characters made of parts
  return list;
};

const say = (text, bad = false) => {
  $("say").textContent = text;
  $("say").classList.toggle("bad", bad);
};
const running = on => {
  document.body.classList.toggle("writing", on);
  $("go").hidden = on, $("stop").hidden = !on;
  paper.contentEditable = on ? "false" : "true";
  if (!on) state.abort = null;
  buttons();
};
const stop = () => state.abort?.abort();
const work = async (what, run) => {
  if (state.abort) return;
  reconcile();
  hideOthers();
  state.abort = new AbortController();
  running(true);
  const begin = performance.now();
  let count = 0;
  say(t(what));
  try {
    await run(() => {
      count++;
      say(t("speed", count, (count / (performance.now() - begin) * 1000).toFixed(0)));
    });
    if (!count) say(t("nothing"));
  } catch (e) {
    if (e.name === "AbortError") say(t("stopped"));
    else say(e instanceof TypeError ? t("gone") : e.message, true);
  }
  running(false);
};

const go = () => work("thinking", async tick => {
  remember();
  $("branches").hidden = true;
  try {
    await ask(state.sets[0], 1, (i, pieces, finish) => {
      state.pieces = [...state.pieces, ...pieces];
      paper.append(...pieces.map(span));
      pieces.forEach(tick);
      if (finish === "stop" && state.look.sentence) {
        state.pieces = join([...state.pieces, {s: "。"}]);
        render();
      }
      follow();
    });
  } finally {
    if (state.past.at(-1) === state.pieces) state.past.pop();
    render(textOf(state.pieces).length);
    keep();
  }
});
const follow = () => {
  const s = $("sheet");
  if (state.look.vertical) s.scrollLeft = -s.scrollWidth;
  else s.scrollTop = s.scrollHeight;
};

// ---- branches -------------------------------------------------------------------------------------------------------

const branch = (name, settings) => {
  const text = make("p"), take = make("button", {type: "button", textContent: t("take"), disabled: true}), sure = make("span");
  const b = {pieces: [], text, sure, box: make("article", {className: "branch"}, make("h3", {}, make("span", {textContent: name}), sure), text, take), take};
  take.onclick = () => {
    if (state.abort) return;
    reconcile();
    typed = 0;
    remember();
    state.pieces = join([...state.pieces, ...b.pieces]);
    $("branches").hidden = true;
    render(textOf(state.pieces).length);
    keep();
    follow();
    paper.focus();
  };
  take.setAttribute("aria-label", t("take") + " " + name);
  b.settings = settings;
  return b;
};
const fork = () => work("branching", async tick => {
  const compare = state.look.compare, s = state.sets[0], list = [];
  if (compare) {
    state.sets.forEach((x, i) => list.push(branch("AB"[i] + (state.models.length > 1 ? " · " + (x.model ?? state.models[0]) : "") + " · " + t("bold") + " " + x.temperature, x)));
  } else {
    for (let i = 0; i < s.n; i++) list.push(branch(t("branch", i + 1), s));
  }
  const close = make("button", {type: "button", className: "quiet", textContent: "×", onclick: () => { stop(); $("branches").hidden = true; }});
  close.setAttribute("aria-label", t("close"));
  $("branches").replaceChildren(make("div", {className: "branch-head"}, make("h2", {textContent: t("branches")}), close), ...list.map(b => b.box));
  $("branches").hidden = false;
  $("branches").scrollIntoView?.({block: "nearest", behavior: "smooth"});
  const put = (b, pieces, finish) => {
    if (finish === "stop" && state.look.sentence) pieces = [...pieces, {s: "。"}];
    b.pieces.push(...pieces);
    b.text.append(...pieces.map(span));
    pieces.forEach(tick);
    if (!finish) return;
    const known = b.pieces.filter(p => p.lp !== undefined), mean = known.reduce((x, p) => x + p.lp, 0) / known.length;
    if (known.length) b.sure.textContent = t("sureness", Math.round(Math.exp(mean) * 100));
    b.box.classList.add("done");
  };
  try {
    if (compare) await Promise.all(list.map(b => ask(b.settings, 1, (i, pieces, finish) => put(b, pieces, finish))));
    else await ask(s, s.n, (i, pieces, finish) => put(list[i], pieces, finish));
  } finally {
    for (const b of list) b.take.disabled = !b.pieces.length;
  }
});

// ---- other words ----------------------------------------------------------------------------------------------------

const others = $("others");
const hideOthers = () => { others.hidden = true; others.of = null; };
const showOthers = (e, focus) => {
  const p = e.piece, index = state.pieces.indexOf(p);
  if (index < 0 || !p.o?.length || state.abort) return;
  others.of = e;
  others.replaceChildren(...p.o.map(([s, lp]) => {
    const share = Math.exp(lp) * 100, b = make("button", {type: "button", onclick: () => choose(index, s, lp, p.o)},
      make("span", {textContent: s.replace(/\n/g, "⏎").replace(/ /g, "␣")}), make("small", {textContent: (share < 1 ? share.toFixed(1) : Math.round(share)) + " %"}));
    b.style.setProperty("--p", share + "%");
    b.setAttribute("role", "option");
    b.setAttribute("aria-selected", String(s === p.s));
    return b;
  }));
  others.hidden = false;
  const r = e.getClientRects()[0], w = others.offsetWidth, h = others.offsetHeight;
  others.style.left = Math.max(8, Math.min(r.left, innerWidth - w - 8)) + "px";
  others.style.top = (r.bottom + h + 10 < innerHeight ? r.bottom + 4 : Math.max(8, r.top - h - 4)) + "px";
  if (focus) others.firstChild.focus();
};
// Another word takes a token's place, and what came after goes: the model goes on from there.
const choose = (index, s, lp, o) => {
  hideOthers();
  if (state.pieces[index].s === s) return;
  typed = 0;
  remember();
  state.pieces = [...state.pieces.slice(0, index), {s, lp, o}];
  render(textOf(state.pieces).length);
  keep();
  paper.focus();
  go();
};
let hover = 0;
paper.addEventListener("mouseover", e => {
  clearTimeout(hover);
  if (e.target.piece) hover = setTimeout(() => showOthers(e.target, false), 320);
});
paper.addEventListener("mouseout", () => { clearTimeout(hover); hover = setTimeout(() => { if (!others.matches(":hover, :focus-within")) hideOthers(); }, 350); });
others.addEventListener("mouseleave", hideOthers);
others.addEventListener("keydown", e => {
  const list = [...others.children], at = list.indexOf(document.activeElement);
  if (e.key === "ArrowDown" || e.key === "ArrowUp") {
    e.preventDefault();
    list[(at + (e.key === "ArrowDown" ? 1 : list.length - 1)) % list.length].focus();
  } else if (e.key === "Escape") {
    e.stopPropagation();
    hideOthers();
    paper.focus();
  }
});
paper.addEventListener("click", e => { if (e.target.piece && matchMedia("(hover: none)").matches) showOthers(e.target, false); });

// ---- typing ---------------------------------------------------------------------------------------------------------

paper.addEventListener("compositionstart", () => { state.composing = true; });
paper.addEventListener("compositionend", () => { state.composing = false; reconcile(); });
paper.addEventListener("input", () => {
  hideOthers();
  if (!state.composing) reconcile();
  if (!shown()) paper.replaceChildren();
});
paper.addEventListener("blur", () => { if (!state.abort && !state.composing) { reconcile(); render(); } });
paper.addEventListener("beforeinput", e => {
  if (e.inputType === "historyUndo" || e.inputType === "historyRedo") { e.preventDefault(); e.inputType === "historyUndo" ? undo() : redo(); }
});
paper.addEventListener("paste", e => {
  e.preventDefault();
  document.execCommand("insertText", false, e.clipboardData.getData("text/plain"));
});
document.addEventListener("keydown", e => {
  const command = e.ctrlKey || e.metaKey;
  if (e.isComposing) return;
  if (command && e.key === "Enter") { e.preventDefault(); e.shiftKey ? fork() : go(); }
  else if (e.key === "Escape") { state.abort ? stop() : hideOthers(); }
  else if (command && e.key.toLowerCase() === "z" && paper.contains(document.activeElement)) { e.preventDefault(); e.shiftKey ? redo() : undo(); }
  else if (e.altKey && e.key === "ArrowDown" && paper.contains(document.activeElement)) {
    e.preventDefault();
    reconcile();
    const at = caretNow() ?? textOf(state.pieces).length;
    render(at);
    const node = getSelection().focusNode, near = node?.parentElement;
    if (near?.piece) showOthers(near, true);
  }
});

// ---- settings -------------------------------------------------------------------------------------------------------

const buttons = () => {
  $("undo").disabled = !!state.abort || !state.past.length;
  $("redo").disabled = !!state.abort || !state.future.length;
  $("fork").disabled = !!state.abort;
};
const plain = {temperature: v => v === 0 ? t("surest") : v.toFixed(2), top_p: v => Math.round(v * 100) + " %",
  max_tokens: v => t("tokens", v), n: v => v};
const showSets = () => {
  const s = state.sets[state.set];
  for (const id of Object.keys(plain)) {
    $(id).value = s[id];
    $(id + "-out").textContent = plain[id](s[id]);
    $(id).setAttribute("aria-valuetext", plain[id](s[id]));
  }
  $("sets").hidden = !state.look.compare;
  for (const [i, id] of ["set-a", "set-b"].entries()) $(id).setAttribute("aria-selected", String(i === state.set));
  $("model-pick").hidden = state.models.length < 2;
  $("model-b-pick").hidden = state.models.length < 2 || state.set === 0;
  for (const [i, id] of ["model", "model-b"].entries()) {
    $(id).replaceChildren(...state.models.map(m => make("option", {value: m, textContent: m})));
    if (state.models.length) $(id).value = state.sets[i].model = state.models.includes(state.sets[i].model) ? state.sets[i].model : state.models[0];
  }
  save("sets", state.sets);
};
const showLook = () => {
  const l = state.look;
  for (const id of ["colours", "borders", "vertical"]) {
    $(id).checked = l[id];
    document.body.classList.toggle(id, l[id]);
  }
  $("sentence").checked = l.sentence, $("compare").checked = l.compare, $("theme").value = l.theme;
  document.documentElement.dataset.theme = l.theme;
  $("legend").hidden = !l.colours;
  if (!l.compare) state.set = 0;
  showSets();
  save("look", l);
};
const showWords = () => {
  document.documentElement.lang = state.lang;
  for (const e of document.querySelectorAll("[data-t]")) e.textContent = t(e.dataset.t);
  for (const e of document.querySelectorAll("[data-l]")) e.setAttribute("aria-label", t(e.dataset.l));
  paper.dataset.placeholder = t(paper.dataset.p);
  $("lang").textContent = t("other-language");
  $("lang").lang = state.lang === "ja" ? "en" : "ja";
  showSets();
  listWorks();
};
for (const id of Object.keys(plain)) $(id).oninput = () => { state.sets[state.set][id] = Number($(id).value); showSets(); };
for (const id of ["colours", "borders", "vertical", "sentence", "compare"]) $(id).onchange = () => { state.look[id] = $(id).checked; showLook(); };
$("theme").onchange = () => { state.look.theme = $("theme").value; showLook(); };
for (const [i, id] of ["model", "model-b"].entries()) $(id).onchange = () => { state.sets[i].model = $(id).value; showSets(); };
for (const [i, id] of ["set-a", "set-b"].entries()) $(id).onclick = () => { state.set = i; showSets(); };
const side = (button, box) => {
  $(button).onclick = () => {
    const open = $(box).hidden;
    for (const [b, x] of [["open-settings", "settings"], ["open-works", "works"]]) {
      $(x).hidden = !(open && x === box);
      $(b).setAttribute("aria-expanded", String(!$(x).hidden));
    }
    if (box === "works") { write(); listWorks(); }
  };
};
side("open-settings", "settings");
side("open-works", "works");
$("lang").onclick = () => { state.lang = state.lang === "ja" ? "en" : "ja"; save("lang", state.lang); showWords(); };
$("go").onclick = go, $("stop").onclick = stop, $("fork").onclick = fork, $("undo").onclick = undo, $("redo").onclick = redo, $("fresh").onclick = fresh;
$("key-form").onsubmit = e => {
  e.preventDefault();
  sessionStorage.setItem("wabun.key", $("key").value.trim());
  $("key-form").hidden = true;
  say("");
  models();
};

// ---- links ----------------------------------------------------------------------------------------------------------

const pack = x => btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(x)))).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
const unpack = s => JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(s.replaceAll("-", "+").replaceAll("_", "/")), c => c.charCodeAt(0))));
$("share").onclick = async () => {
  reconcile();
  const {temperature, top_p, max_tokens, n} = state.sets[0];
  const url = location.origin + location.pathname + "#" + pack({text: textOf(state.pieces), temperature, top_p, max_tokens, n, vertical: state.look.vertical});
  try {
    await navigator.clipboard.writeText(url);
    say(t("copied"));
  } catch {
    location.hash = url.split("#")[1];
    say(t("in-bar"));
  }
};
const fromLink = () => {
  if (location.hash.length < 2) return false;
  try {
    const x = unpack(location.hash.slice(1));
    if (typeof x.text !== "string") return false;
    for (const id of Object.keys(plain)) {
      const v = Number(x[id]);
      if (x[id] !== undefined && v >= Number($(id).min) && v <= Number($(id).max)) state.sets[0][id] = v;
    }
    state.look.vertical = x.vertical === true;
    openWork(crypto.randomUUID?.() ?? String(Date.now()));
    state.pieces = x.text ? [{s: x.text}] : [];
    history.replaceState(null, "", location.pathname);
    return true;
  } catch { return false; }
};
addEventListener("hashchange", () => { if (fromLink()) { showLook(); render(); keep(); } });

// ---- beginning ------------------------------------------------------------------------------------------------------

const models = async () => {
  try {
    const response = await fetch("/v1/models", {headers: headers()});
    if (!response.ok) throw await failed(response);
    state.models = (await response.json()).data.map(m => m.id);
    showSets();
  } catch (e) { say(e instanceof TypeError ? t("gone") : e.message, true); }
};
if (!fromLink()) openWork(load("last", null) ?? crypto.randomUUID?.() ?? String(Date.now()));
showLook();
showWords();
render();
keep();
addEventListener("pagehide", write);
models();
if (innerWidth > 1300) $("open-settings").click();
paper.focus({preventScroll: true});
