// The page from its data: banner, tables, settings, then the examples with what filters and orders them.

const PAGE = 24; // cards at a time
const ROWS = 12; // groups of a kind that are shown without being asked for
const LONG = 160; // characters of a problem that are shown without being asked for

const report = embedded();

/** The body of a section, which is shown from now on. */
function section(id) {
  byId(id).hidden = false;
  return byId(id).querySelector(".body");
}

const ROLES = { tr: "row", td: "cell", "thead th": "columnheader", "tbody th": "rowheader" };

/** A table with a caption and heads: [what, class]. Its roles are told, since narrow screens lay rows out as blocks. */
function table(kind, caption, heads, rows) {
  const made = el(
    "table",
    { class: kind, role: "table" },
    el("caption", {}, report.complete ? null : el("b", { class: "badge" }, "PARTIAL"), caption),
    el("thead", {}, el("tr", {}, ...heads.map(([what, name]) => el("th", { scope: "col", class: name }, what)))),
    el("tbody", {}, ...rows),
  );
  for (const [selector, role] of Object.entries(ROLES)) {
    made.querySelectorAll(selector).forEach((one) => one.setAttribute("role", role));
  }
  return made;
}

function drawHead() {
  const { title, task, items, complete } = report;
  byId("task").textContent = `Evaluation \u00b7 ${task}`;
  byId("title").textContent = title;
  const shown = new Set(items.map((item) => item.picture).filter((place) => place !== null)).size;
  const facts = [plural(items.length, "item"), shown && plural(shown, "picture"), complete ? "complete" : "partial"];
  byId("lead").textContent = facts.filter(Boolean).join(" \u00b7 ");
  if (complete && !report.problems.length) return;
  const lines = report.problems.map((line) => (complete ? line : line.replace(/^PARTIAL: /, "")));
  const box = byId("problems");
  box.hidden = false;
  box.className = complete ? "notes" : "partial";
  box.append(
    el("p", { class: "headline" }, el("strong", {}, complete ? "Problems" : "PARTIAL"),
      complete ? "All items were scored all the same." : "These are not the scores of the whole data set."),
    el("ul", {}, ...lines.map((line) => el("li", { dir: "auto" }, problem(line)))),
  );
}

/** A problem; of one that names many items only the beginning, the rest when asked for. */
function problem(line) {
  const colon = line.indexOf(": ");
  if (line.length <= LONG || colon < 0 || colon > LONG) return line;
  return el("details", {}, el("summary", {}, line.slice(0, colon)), line.slice(colon + 2));
}

function drawScores() {
  const { scores } = report;
  if (!scores.length) return;
  const to = axisEnd(scores.flatMap((one) => [one.value, one.high, one.published]));
  const publishes = scores.some((one) => one.published !== null);
  const rows = scores.map((one) =>
    el("tr", {},
      el("th", { scope: "row" }, one.name),
      el("td", { class: "number" }, el("b", {}, percent(one.value)), el("small", {}, range(one.low, one.high))),
      el("td", { class: "bars" }, bar({ ...one, mark: one.published, to })),
      !publishes ? null
        : one.published === null ? el("td", { class: "published none" })
          : el("td", { class: "published" },
            el("b", {}, percent(one.published)), el("small", {}, one.published_source)),
    ),
  );
  const heads = [["Metric", ""], ["Score", "number"], [axis(0, to), "bars"]];
  if (publishes) heads.push(["Published", "published"]);
  const counts = [...new Set(scores.map((one) => one.count))].map(count).join(" or ");
  const marked = publishes ? "; a line across marks a published number" : "";
  section("scores").append(table("scores", `Times 100, of ${counts} items, with 95 % intervals${marked}`, heads, rows));
}

function drawComparison() {
  const { comparison, compared_with: other } = report;
  if (!comparison.length) return;
  const ends = comparison.flatMap((one) => [one.difference, one.low, one.high]);
  const reach = Math.ceil(Math.max(...ends.map(Math.abs), 0.001) * 50) / 50; // an even number when times 100
  const rows = comparison.map((one) =>
    el("tr", { class: one.low > 0 || one.high < 0 ? "clear" : "unclear" },
      el("th", { scope: "row" }, one.name),
      el("td", { class: "number aside" }, percent(one.a)),
      el("td", { class: "number aside" }, percent(one.b)),
      el("td", { class: "number" }, el("b", {}, (one.difference > 0 ? "+" : "") + percent(one.difference)),
        el("small", {}, range(one.low, one.high))),
      el("td", { class: "bars" }, bar({ ...one, value: one.difference, from: -reach, to: reach })),
      el("td", { class: "number p" }, one.p_value < 0.0001 ? "< 0.0001" : fixed(one.p_value, 4)),
    ),
  );
  const heads = [
    ["Metric", ""], ["This", "number aside"], ["Other", "number aside"], ["Other less this", "number"],
    [axis(-reach, reach), "bars"], ["p", "number p"],
  ];
  byId("comparison-title").replaceChildren("Compared with ", el("span", { dir: "auto" }, other || "another"));
  const caption = "On the items that both have a text for, with 95 % intervals of the difference";
  section("comparison").append(table("comparison", caption, heads, rows));
}

function drawGroups() {
  const { groups, items } = report;
  if (!groups.length) return;
  const to = axisEnd(groups.flatMap((one) => [one.value, one.high]));
  const named = new Set(items.map((item) => item.group));
  const link = (group) => ({ type: "button", class: "plain", onclick: () => filterGroup(group) });
  const name = (group) => (named.has(group) ? el("button", { ...link(group), title: "Show these" }, group) : group);
  for (const kind of new Set(groups.map((one) => one.kind))) {
    const lines = groups.filter((one) => one.kind === kind);
    const rows = lines.map((one, place) =>
      el("tr", { hidden: place >= ROWS },
        el("th", { scope: "row", dir: "auto" }, name(one.group)),
        el("td", { class: "number aside" }, count(one.count)),
        el("td", { class: "number" }, percent(one.value), el("small", {}, range(one.low, one.high))),
        el("td", { class: "bars" }, bar({ ...one, to })),
      ),
    );
    const heads = [[kind, ""], ["items", "number aside"], [lines[0].name, "number"], [axis(0, to), "bars"]];
    const made = table("groups", `${lines[0].name} by ${kind}, the most frequent first`, heads, rows);
    section("groups").append(el("div", {}, made, lines.length > ROWS ? reveal(rows) : null));
  }
}

/** A button that shows the rows that are hidden. */
function reveal(rows) {
  const open = (event) => {
    rows.forEach((row) => (row.hidden = false));
    event.target.remove();
  };
  return el("button", { type: "button", class: "plain reveal", onclick: open }, `Show all ${count(rows.length)}`);
}

/** Text in which each long digest is shortened to the eye but whole to who selects it, with a button that copies it. */
function digests(text) {
  return text.split(/([0-9a-f]{24,})/).map((part, place) => {
    if (place % 2 === 0) return part;
    const copied = (event) => {
      getSelection().selectAllChildren(event.target.previousSibling);
      Promise.resolve(navigator.clipboard?.writeText(part) ?? document.execCommand("copy")).then(
        () => (event.target.textContent = "copied"), () => (event.target.textContent = "selected"));
    };
    return el("span", { class: "digest" }, el("code", { title: part }, part),
      el("button", { type: "button", class: "plain", "aria-label": `Copy ${part}`, onclick: copied }, "copy"));
  });
}

function drawSettings() {
  if (!report.settings.length) return;
  section("settings").append(
    ...report.settings.map(([name, value]) =>
      el("div", {}, el("dt", {}, name), el("dd", { dir: "auto" }, ...digests(value)))),
  );
}

// Examples

const items = report.items;
const dimensions = [];
const plots = [];
const state = { order: "", query: "", group: "", shown: PAGE, random: [] };
let found = []; // places of the items that are left by all filters, in order
let words = null; // what is searched, made at the first search

function findDimensions() {
  report.item_scores.forEach((name, place) => {
    const values = items.map((item) => item.scores[place]);
    const show = (value) => percent(value, 1);
    dimensions.push(dimension(name, values, show, extreme(Math.min, values), axisEnd(values)));
  });
  const likely = items.map((item) => item.logprob);
  if (likely.some((value) => value !== null)) {
    const show = (value) => fixed(value, 2);
    const from = Math.floor(extreme(Math.min, likely) * 2) / 2 || -1;
    dimensions.push(dimension("log-probability", likely, show, from, 0));
  }
}

function filtered() {
  const wanted = state.query.toLowerCase().split(/\s+/).filter(Boolean);
  if (wanted.length) words ??= items.map((i) => [i.id, i.text, i.question, ...i.references].join("\n").toLowerCase());
  const narrow = dimensions.filter(narrowed);
  const kept = [];
  items.forEach((item, place) => {
    if (state.group && item.group !== state.group) return;
    if (!wanted.every((word) => words[place].includes(word))) return;
    if (narrow.every(({ bins, range: [first, last] }) => first <= bins[place] && bins[place] < last)) kept.push(place);
  });
  return kept;
}

/** The places in the chosen order. Of equal scores the likeliest come first: the surest mistakes, the surest hits. */
function ordered(places) {
  if (state.order === "file") return places;
  if (state.order === "random") return places.sort((a, b) => state.random[a] - state.random[b]);
  if (state.order === "id") {
    const collator = new Intl.Collator("en", { numeric: true });
    return places.sort((a, b) => collator.compare(items[a].id, items[b].id));
  }
  const [which, direction] = state.order.split(" ").map(Number);
  const { values } = dimensions[which];
  const sure = (place) => items[place].logprob ?? -Infinity;
  return places.sort((a, b) => {
    if (values[a] === null || values[b] === null) return (values[a] === null) - (values[b] === null);
    return (values[a] - values[b]) * direction || sure(b) - sure(a) || a - b;
  });
}

/** Filter, order and draw again from the first card. */
function refresh() {
  found = filtered();
  plots.forEach((plot) => plot.update(found));
  found = ordered(found);
  state.shown = PAGE;
  const fresh = found.slice(0, PAGE).map((place) => card(items[place]));
  byId("cards").replaceChildren(...(fresh.length ? fresh : [el("li", { class: "none" }, "No item is like this.")]));
  tell();
}

const soon = onceAFrame(refresh);

function tell() {
  const shown = Math.min(state.shown, found.length);
  const all = (found.length < items.length ? `${count(found.length)} of ` : "") + plural(items.length, "item");
  byId("count").textContent = shown < found.length ? `${all}, ${count(shown)} shown` : all;
  byId("clear").hidden = !(state.query || state.group || dimensions.some(narrowed));
  const left = found.length - shown;
  byId("more").hidden = left <= 0;
  byId("more").textContent = `Show ${Math.min(PAGE, left)} more`;
}

function more() {
  const from = state.shown;
  state.shown += PAGE;
  const fresh = found.slice(from, state.shown).map((place) => card(items[place]));
  byId("cards").append(...fresh);
  tell();
  fresh[0].focus({ preventScroll: true });
}

/** Equal references once, with how often they were given. */
function references(item) {
  const times = new Map();
  for (const text of item.references) times.set(text, (times.get(text) ?? 0) + 1);
  const lines = [...times].map(([text, many]) =>
    el("li", { dir: "auto" }, text, many > 1 ? el("span", { class: "times" }, ` \u00d7\u2009${many}`) : null));
  return el("ul", { class: item.question ? "references short" : "references", "aria-label": "References" }, ...lines);
}

function card(item) {
  const picture = item.picture === null ? null : report.pictures[item.picture];
  const scores = dimensions.slice(0, item.scores.length).map((one, place) =>
    el("div", {}, el("dt", {}, one.name), el("dd", {}, one.show(item.scores[place]),
      bar({ value: item.scores[place], low: null, high: null, to: one.edge(BINS) }))));
  if (item.logprob !== null) {
    scores.push(el("div", { title: "mean log-probability of a piece of the text" },
      el("dt", {}, "log-prob"), el("dd", {}, fixed(item.logprob, 2))));
  }
  const left = picture ? el("img", { src: picture, alt: `Picture of ${item.id}`, decoding: "async" })
    : report.pictures.length ? el("span", { class: "unseen" }, "picture left out") : null;
  return el("li", { class: left ? "card" : "card bare", tabindex: "-1" },
    left ? el("div", { class: "picture" }, left) : null,
    el("div", { class: "words" },
      item.question ? el("p", { class: "question", dir: "auto" }, item.question) : null,
      el("p", { class: item.text ? "text" : "text empty", dir: "auto" }, item.text || "(empty text)"),
      references(item),
      el("dl", { class: "marks" }, ...scores),
      el("p", { class: "name" }, el("code", { dir: "auto" }, item.id), el("span", { dir: "auto" }, item.group))));
}

function filterGroup(group) {
  byId("group").value = group;
  state.group = group;
  refresh();
  byId("examples").scrollIntoView();
}

function clear() {
  for (const one of dimensions) one.range = [0, BINS];
  state.query = byId("query").value = "";
  state.group = byId("group").value = "";
  refresh();
  byId("query").focus();
}

/** What examples can be ordered by; the first is what the page begins with. */
function fillOrder() {
  const words = (one) => (one.name === "log-probability" ? ["least likely", "most likely"] : ["worst", "best"]);
  const options = dimensions.flatMap((one, place) =>
    [1, -1].map((direction, end) => [`${place} ${direction}`, `${one.name}, ${words(one)[end]} first`]));
  options.push(["id", "id"], ["file", "as in the file"], ["random", "random"]);
  byId("order").append(...options.map(([value, text]) => el("option", { value }, text)));
  state.order = options[0][0];
}

function fillGroups() {
  const sizes = new Map();
  for (const { group } of items) if (group) sizes.set(group, (sizes.get(group) ?? 0) + 1);
  byId("group-label").hidden = sizes.size < 2;
  const named = ([name, size]) => el("option", { value: name }, `${name} (${count(size)})`);
  byId("group").append(el("option", { value: "" }, "all"), ...[...sizes].sort((a, b) => b[1] - a[1]).map(named));
}

function drawExamples() {
  if (!items.length) return;
  findDimensions();
  plots.push(...dimensions.map((one) => histogram(one, soon)));
  if (plots.length) section("distributions").append(...plots.map((plot) => plot.figure));
  byId("examples").hidden = false;
  fillOrder();
  fillGroups();
  byId("order").addEventListener("change", (event) => {
    state.order = event.target.value;
    if (state.order === "random") state.random = items.map(() => Math.random());
    refresh();
  });
  byId("group").addEventListener("change", (event) => ((state.group = event.target.value), refresh()));
  byId("query").addEventListener("input", (event) => ((state.query = event.target.value), soon()));
  byId("tools").addEventListener("submit", (event) => event.preventDefault());
  byId("clear").addEventListener("click", clear);
  byId("more").addEventListener("click", more);
  refresh();
}

window.addEventListener("beforeprint", () => {
  document.querySelectorAll("details").forEach((one) => (one.open = true));
  document.querySelectorAll(".reveal").forEach((button) => button.click());
});
drawHead();
drawScores();
drawComparison();
drawGroups();
drawSettings();
drawExamples();
