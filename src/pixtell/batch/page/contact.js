// The page: what is searched, filtered and ordered; cards that are drawn only where they can be seen.

const BLOCK = 24; // cards that are drawn and forgotten together; a multiple of 1, 2, 3 and 4 columns
const NEAR = "1200px"; // how far from the window cards are drawn
const PRINTED = 1200; // cards that are printed
const HEIGHT = 176; // pixels of a card and its gap, until one was measured

const state = { query: "", show: "", order: "file" };
const words = []; // of each place, what is searched, once it was
let order = []; // places that are left by all filters
let blocks = []; // {node, from, height}: a stretch of `order`
let cardHeight = HEIGHT;

// ---- filters and orders

const length = (place) => textOf(place).length;
const scored = (place) => rows[place].mean_logprob ?? null;
const STATUS = { error: 0, skipped: 1 };

const FILTERS = [
  ["review", "to review", (place) => rows[place].review && rows[place].text && !edits.has(place)],
  ["edited", "edited here", (place) => edits.has(place)],
  ["hand", "by hand", (place) => rows[place].edited],
  ["aside", "set aside", (place) => editable(rows[place]) && rows[place].review && !rows[place].text],
  ["same", "duplicates", (place) => twinsOf(place).length > 0],
  ["ok", "ok", (place) => rows[place].status === "ok"],
  ["skipped", "skipped", (place) => rows[place].status === "skipped"],
  ["error", "errors", (place) => rows[place].status === "error"],
];

const collator = new Intl.Collator("en", { numeric: true });
const ORDERS = {
  file: ["as given", null],
  name: ["name", (a, b) => collator.compare(rows[a].name, rows[b].name)],
  unsure: ["score, lowest first", (a, b) => last(scored(a), scored(b)) ?? scored(a) - scored(b)],
  sure: ["score, highest first", (a, b) => last(scored(a), scored(b)) ?? scored(b) - scored(a)],
  short: ["shortest first", (a, b) => last(known(a), known(b)) ?? length(a) - length(b)],
  long: ["longest first", (a, b) => last(known(a), known(b)) ?? length(b) - length(a)],
  status: ["errors first", (a, b) => (STATUS[rows[a].status] ?? 2) - (STATUS[rows[b].status] ?? 2)
    || collator.compare(rows[a].code ?? "", rows[b].code ?? "")],
};
const known = (place) => (editable(rows[place]) ? place : null);

/** What comes last because there is nothing to compare; null when both can be compared. */
function last(one, other) {
  return one === null || other === null ? (one === null) - (other === null) : null;
}

const counted = (test) => rows.reduce((sum, _, place) => sum + Boolean(test(place)), 0);
const codes = new Map();
for (const { code, status } of rows) if (status === "error" && code) codes.set(code, (codes.get(code) ?? 0) + 1);

function test() {
  if (state.show.startsWith("code ")) return (place) => rows[place].code === state.show.slice(5);
  return FILTERS.find(([key]) => key === state.show)?.[2] ?? (() => true);
}

function searched(place) {
  return (words[place] ??= `${rows[place].name}\n${textOf(place)}`.toLowerCase());
}

function found() {
  const wanted = state.query.toLowerCase().split(/\s+/).filter(Boolean);
  const keeps = test();
  const left = [...rows.keys()].filter((place) => keeps(place) && wanted.every((w) => searched(place).includes(w)));
  const [, compare] = ORDERS[state.order];
  return compare ? left.sort((a, b) => compare(a, b) || a - b) : left;
}

// ---- cards in blocks

const list = byId("list");
const observer = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      const block = blocks[Number(target.dataset.block)];
      if (block?.node !== target) continue;
      if (isIntersecting) fill(block);
      else empty(block);
    }
  },
  { rootMargin: NEAR },
);

function fill(block) {
  if (block.node.firstChild) return;
  block.node.append(...order.slice(block.from, block.from + BLOCK).map((place, number) => {
    const row = rows[place];
    const made = editable(row) ? captioned(place, row, { changed, next, jump }) : failed(place, row);
    made.dataset.place = place;
    made.setAttribute("aria-posinset", block.from + number + 1);
    made.setAttribute("aria-setsize", order.length);
    return made;
  }));
  block.node.style.removeProperty("height");
  block.node.querySelectorAll("textarea").forEach(fit);
}

function empty(block) {
  if (!block.node.firstChild || block.node.contains(document.activeElement)) return;
  const { height } = block.node.getBoundingClientRect();
  cardHeight = height / Math.ceil(block.node.childElementCount / columns(block.node));
  block.node.style.setProperty("height", `${height}px`);
  block.node.replaceChildren();
}

const columns = (node) => getComputedStyle(node).gridTemplateColumns.split(" ").length;

/** Give blocks without cards about the height that they will have. */
function reserve() {
  if (!blocks.length) return;
  const across = columns(blocks[0].node);
  for (const { node, from } of blocks) {
    if (node.firstChild) continue;
    const lines = Math.ceil(Math.min(BLOCK, order.length - from) / across);
    node.style.setProperty("height", `${lines * cardHeight}px`);
  }
}

/** Filter, order and draw again from the first card. */
function refresh() {
  order = found();
  observer.disconnect();
  blocks = [];
  for (let from = 0; from < order.length; from += BLOCK) {
    blocks.push({ from, node: el("div", { class: "block", role: "presentation", "data-block": blocks.length }) });
  }
  list.replaceChildren(...blocks.map(({ node }) => node));
  if (blocks.length) fill(blocks[0]);
  reserve();
  blocks.forEach(({ node }) => observer.observe(node));
  byId("none").hidden = order.length > 0;
  tell();
}

const soon = onceAFrame(refresh);

/** Draw the cards of these places again, where they are drawn; the one that is written in stays. */
function redraw(...changedPlaces) {
  for (const place of changedPlaces) {
    const card = list.querySelector(`[data-place="${place}"]`);
    if (!card || card.contains(document.activeElement)) continue;
    const fresh = captioned(place, rows[place], { changed, next, jump });
    for (const name of ["data-place", "aria-posinset", "aria-setsize"]) {
      fresh.setAttribute(name, card.getAttribute(name));
    }
    card.replaceWith(fresh);
    fit(fresh.querySelector("textarea"));
  }
}

/** The card of the `number`th that is left, drawn. */
function cardAt(number) {
  const block = blocks[Math.floor(number / BLOCK)];
  fill(block);
  return block.node.children[number - block.from];
}

/** On to the next caption that can be written in. */
function next(place) {
  for (let number = order.indexOf(place) + 1; number < order.length; number += 1) {
    if (!editable(rows[order[number]])) continue;
    const field = cardAt(number).querySelector("textarea");
    field.focus();
    field.setSelectionRange(field.value.length, field.value.length);
    return;
  }
  byId("save").focus();
}

function jump(place) {
  if (!order.includes(place)) showAll();
  const card = cardAt(order.indexOf(place));
  card.scrollIntoView({ block: "center" });
  (card.querySelector("textarea") ?? card).focus({ preventScroll: true });
}

// ---- what is told

function changed(...changedPlaces) {
  for (const place of changedPlaces) delete words[place];
  notice("");
  if (changedPlaces.length > 1) redraw(...changedPlaces);
  tell();
}

function tell() {
  const some = order.length < rows.length ? `${count(order.length)} of ` : "";
  byId("count").textContent = some + plural(rows.length, "input");
  byId("clear").hidden = !(state.query || state.show);
  byId("save").disabled = !edits.size;
  byId("save").classList.toggle("done", saved);
  byId("save").textContent = edits.size && saved ? `Saved ${plural(edits.size, "edit")}`
    : edits.size ? `Save ${plural(edits.size, "edit")}` : "Save edits";
  byId("forget").hidden = !edits.size;
}

function notice(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = !text;
}

function drawHead() {
  byId("title").textContent = sheet.title;
  const told = (key, name) => [counted(FILTERS.find(([one]) => one === key)[2]), name];
  const facts = [told("ok", "ok"), told("skipped", "skipped"), told("error", "error"), told("review", "to review")];
  const words = facts.filter(([number]) => number).map(([number, name]) =>
    name === "error" ? plural(number, name) : `${count(number)} ${name}`);
  byId("lead").textContent = [plural(rows.length, "input"), ...words].join(" \u00b7 ");
  byId("settings").append(...Object.entries(sheet.settings).map(([name, value]) =>
    el("div", {}, el("dt", {}, name),
      el("dd", { dir: "auto" }, typeof value === "string" ? value : JSON.stringify(value)))));
}

function drawTools() {
  const offered = FILTERS.map(([key, name, test]) => [key, name, counted(test)])
    .filter(([key, , number]) => number || key === "edited");
  const option = ([value, name, number]) =>
    el("option", { value }, value === "edited" ? name : `${name} (${count(number)})`);
  byId("show").append(el("option", { value: "" }, "all"), ...offered.map(option));
  if (codes.size) {
    byId("show").append(el("optgroup", { label: "errors" }, ...[...codes].sort((a, b) => b[1] - a[1])
      .map(([code, number]) => option([`code ${code}`, code, number]))));
  }
  const scores = rows.some((row) => (row.mean_logprob ?? null) !== null);
  byId("order").append(...Object.entries(ORDERS).filter(([key]) => scores || !["sure", "unsure"].includes(key))
    .map(([key, [name]]) => el("option", { value: key }, name)));
  byId("tools").hidden = false;
}

function showAll() {
  state.query = byId("query").value = "";
  state.show = byId("show").value = "";
  refresh();
}

function saveAll() {
  save();
  tell();
  if (!edits.size) return;
  notice("Saved as edits.jsonl. The command that wrote the captions brings it into the files: --apply edits.jsonl");
}

function forgetAll() {
  if (!confirm(`Undo all ${plural(edits.size, "edit")}? The captions are then as they are in the files.`)) return;
  const all = [...edits.keys()];
  all.forEach((place) => edit(place, original(place)));
  keep();
  all.forEach((place) => delete words[place]);
  refresh();
}

function listen() {
  const on = (id, kind, action) => byId(id).addEventListener(kind, action);
  on("query", "input", (event) => ((state.query = event.target.value), soon()));
  on("show", "change", (event) => ((state.show = event.target.value), refresh()));
  on("order", "change", (event) => ((state.order = event.target.value), refresh()));
  on("tools", "submit", (event) => event.preventDefault());
  on("clear", "click", showAll);
  on("save", "click", saveAll);
  on("forget", "click", forgetAll);
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "s") {
      event.preventDefault();
      saveAll();
    } else if (event.key === "/" && !/^(TEXTAREA|INPUT|SELECT)$/.test(event.target.tagName)) {
      event.preventDefault();
      byId("query").focus();
    }
  });
  window.addEventListener("resize", () => (reserve(), list.querySelectorAll("textarea").forEach(fit)));
  window.addEventListener("pagehide", keep);
  window.addEventListener("beforeunload", (event) => {
    if (!saved) event.preventDefault();
  });
  window.addEventListener("storage", (event) => {
    if (event.key !== KEY) return; // another tab with this page
    recall();
    words.length = 0;
    refresh();
  });
  window.addEventListener("beforeprint", () => blocks.slice(0, PRINTED / BLOCK).forEach(fill));
}

recall();
drawHead();
drawTools();
listen();
refresh();
if (edits.size) {
  notice(`${plural(edits.size, "edit")} of before: kept here, and not in the files yet.`);
} else if (!keep()) {
  notice("This browser keeps nothing for this page: save your edits before you close it.");
}
