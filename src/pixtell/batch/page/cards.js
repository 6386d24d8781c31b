// A card for a row: its picture, its caption to write in, what else is known of it, and what can be done.

const twins = new Map(); // digest of content -> places of the rows that have it
rows.forEach(({ sha256 }, place) => {
  if (sha256) twins.set(sha256, [...(twins.get(sha256) ?? []), place]);
});
const twinsOf = (place) => (twins.get(rows[place].sha256) ?? []).filter((other) => other !== place);

/** Name with its folder in front, which may be long and matters less. */
function named(name) {
  const cut = name.lastIndexOf("/") + 1;
  return el("span", { class: "name", dir: "auto", title: name }, el("b", {}, name.slice(0, cut)), name.slice(cut));
}

function picture(row) {
  const inside = row.picture === undefined
    ? el("span", { class: "unseen" }, "no picture")
    : el("img", { src: thumbnail(row.picture), alt: "", decoding: "async" });
  return el("div", { class: "picture" }, inside);
}

/** Seconds as a clock shows them. */
function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  const [hours, minutes] = [Math.floor(tenths / 36000), Math.floor(tenths / 600) % 60];
  const rest = ((tenths % 600) / 10).toFixed(tenths % 10 ? 1 : 0).padStart(tenths % 10 ? 4 : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** Answers, labels and windows, each where there are any. */
function further(row) {
  const answers = (row.answers ?? []).map(([question, answer]) =>
    el("div", {}, el("dt", { dir: "auto" }, question), el("dd", { dir: "auto" }, answer)));
  const labels = (row.labels ?? []).map(([label, probability]) =>
    el("div", {}, el("dt", {}, `${fixed(probability * 100, 1)} %`), el("dd", { dir: "auto" }, label)));
  const windows = (row.windows ?? []).map(({ start, end, text }) =>
    el("li", {}, el("span", { class: "time" }, `${clock(start)} \u2013 ${clock(end)}`),
      el("span", { dir: "auto" }, text)));
  return [
    answers.length ? el("dl", { class: "more", "aria-label": "Answers" }, ...answers) : null,
    labels.length ? el("dl", { class: "more", "aria-label": "Labels" }, ...labels) : null,
    windows.length ? el("ul", { class: "more", "aria-label": "Windows" }, ...windows) : null,
  ];
}

/** The card of a row that has no caption, and why. */
function failed(place, row) {
  return el("article", { class: `card failed ${row.status}`, role: "listitem", tabindex: "-1" },
    picture(row),
    el("div", { class: "words" },
      el("p", { class: "why", dir: "auto" },
        el("b", {}, row.code === "exists" ? "has a caption already" : row.code || row.status),
        (row.message ?? "").replace(`${row.name}: `, "")),
      el("p", { class: "foot" }, named(row.name))));
}

/** Make a text field as high as its text; newer browsers do it by themselves. */
function fit(field) {
  if (CSS.supports("field-sizing", "content")) return;
  field.style.setProperty("height", "0");
  field.style.setProperty("height", `${field.scrollHeight + 2}px`);
}

/** The card of a row with a caption. `changed` is called after each edit, `next` to go on, `jump` to go to a row. */
function captioned(place, row, { changed, next, jump }) {
  const field = el("textarea", {
    class: "text", rows: 1, dir: "auto", "aria-label": `Caption of ${row.name}`, autocomplete: "off",
    placeholder: row.answers || row.labels ? "no caption" : "no caption: set aside",
  });
  const others = el("div", { class: "others", role: "group", "aria-label": "Other captions" });
  const marks = el("span", {});
  const acts = el("span", { class: "acts" });
  const card = el("article", { class: "card", role: "listitem", tabindex: "-1" },
    picture(row),
    el("div", { class: "words" }, field, others, ...further(row),
      el("p", { class: "foot" }, named(row.name), score(row), marks, acts)));
  const set = (text, accepted) => {
    edit(place, text, accepted);
    field.value = text;
    draw();
    changed(place);
  };
  const choices = () => [...new Set([original(place), ...(row.alternatives ?? [])])]
    .filter((text) => text && text !== textOf(place));
  const draw = () => {
    const within = others.contains(document.activeElement) || acts.contains(document.activeElement);
    card.classList.toggle("changed", edits.has(place));
    const offered = choices().map((text) =>
      el("button", { type: "button", dir: "auto", title: "Take this one", onclick: () => set(text) }, text));
    others.replaceChildren(...offered);
    others.hidden = !offered.length;
    marks.replaceChildren(...badges(place, row, jump));
    acts.replaceChildren(...actions(place, row, set, changed).filter(Boolean));
    if (within) card.focus({ preventScroll: true }); // what was pressed is gone
    fit(field);
  };
  keys(field, { place, row, set, next, choices });
  field.addEventListener("input", () => {
    edit(place, field.value);
    draw();
    changed(place);
  });
  field.value = textOf(place);
  draw();
  return card;
}

function score(row) {
  if (row.mean_logprob === undefined || row.mean_logprob === null) return null;
  return el("span", { title: "mean log-probability of a piece of the text" }, `score ${fixed(row.mean_logprob, 2)}`);
}

function badges(place, row, jump) {
  const edited = edits.has(place);
  const found = [];
  const badge = (text, kind = "badge") => found.push(el("span", { class: kind }, text), " ");
  if (edited) badge(edits.get(place) === original(place) ? "accepted" : "edited", "badge own");
  else if (row.review) badge(row.text ? "review" : "set aside");
  else if (row.edited) badge("by hand", "badge own");
  if (stale.has(place)) badge(`the files now say: ${original(place) || "nothing"}`);
  if (row.same_as && places.has(row.same_as)) {
    found.push(el("button", { type: "button", class: "plain", onclick: () => jump(places.get(row.same_as)) },
      `same as ${row.same_as.slice(row.same_as.lastIndexOf("/") + 1)}`));
  }
  return found;
}

function actions(place, row, set, changed) {
  const button = (text, title, onclick, kind = "plain") =>
    el("button", { type: "button", class: kind, title, onclick }, text);
  const text = textOf(place);
  const unlike = twinsOf(place).filter((other) => editable(rows[other]) && textOf(other) !== text);
  const share = () => {
    unlike.forEach((other) => edit(other, text));
    changed(...unlike, place);
  };
  return [
    text ? button("Set aside", "No caption for this one", () => set(""), "plain aside") : null,
    edits.has(place) && unlike.length
      ? button(`Also for ${plural(unlike.length, "duplicate")}`, "Inputs with the very same content", share) : null,
    row.review && row.text && !edits.has(place)
      ? button("Accept", "It is right as it is (Ctrl Enter)", () => set(original(place), true)) : null,
    edits.has(place) ? button("Undo", "As it is in the files (Alt 0)", () => set(original(place))) : null,
  ];
}

/** What keys do in a caption. */
function keys(field, { place, row, set, next, choices }) {
  let before = null;
  field.addEventListener("focus", () => (before = [textOf(place), edits.has(place)]));
  field.addEventListener("keydown", (event) => {
    if (event.isComposing) return; // Enter that ends a word of an input method
    const digit = event.altKey && /^Digit[0-9]$/.test(event.code) ? Number(event.code.slice(5)) : null;
    if (event.key === "Enter" && !event.shiftKey) {
      if ((event.ctrlKey || event.metaKey) && row.review) set(field.value, true);
      next(place);
    } else if (event.key === "Escape" && before) {
      set(...before);
    } else if (digit === 0) {
      set(original(place));
    } else if (digit !== null) {
      const text = choices()[digit - 1];
      if (text !== undefined) set(text);
    } else {
      return;
    }
    event.preventDefault();
  });
}
