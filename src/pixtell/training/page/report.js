// A run's page from its data: curves, then pictures with what the finished model says of them, then settings.

const WIDTH = 100;
const HEIGHT = 100;
const report = embedded();

/** A number as one reads it on an axis: 0.0001 is 1.0e-4. */
function told(value) {
  const size = Math.abs(value);
  return size === 0 ? "0" : size < 0.01 || size >= 1e5 ? value.toExponential(1) : fixed(value, size < 10 ? 3 : 1);
}

/** A curve with its greatest and least value, and its last one beside its name. Values that are none are left out. */
function plot({ name, points }) {
  const known = points.filter(([, value]) => value !== null);
  const values = known.map(([, value]) => value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const place = (step, value) =>
    `${(step / Math.max(1, report.steps)) * WIDTH} ${HEIGHT - ((value - low) / (high - low || 1)) * HEIGHT}`;
  const path = known.map(([step, value], number) => `${number ? "L" : "M"}${place(step, value)}`).join("");
  const dot = known.length === 1 ? "h0.5" : ""; // a single value still shows
  return el("figure", { class: "plot" },
    el("figcaption", {}, el("strong", {}, name), el("span", {}, values.length ? told(values[values.length - 1]) : "")),
    el("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": name },
      el("path", { d: path + dot })),
    el("p", { class: "ends" }, el("span", {}, `step 0 to ${count(report.steps)}`),
      el("span", {}, values.length ? `${told(low)} to ${told(high)}` : "")));
}

function card(shown) {
  return el("li", { class: "card" },
    el("div", { class: "picture" },
      el("img", { src: shown.picture, alt: `Picture of ${shown.id}`, decoding: "async" })),
    el("div", { class: "words" },
      shown.question ? el("p", { class: "question", dir: "auto" }, shown.question) : null,
      el("p", { class: "text", dir: "auto" }, shown.text || "(empty text)"),
      el("ul", { class: "references", "aria-label": "References" },
        ...[...new Set(shown.references)].map((text) => el("li", { dir: "auto" }, text))),
      el("p", { class: "name" }, el("code", { dir: "auto" }, shown.id))));
}

byId("title").textContent = report.title;
byId("lead").textContent = plural(report.steps, "step");
byId("curves").append(...report.curves.map(plot));
byId("examples").hidden = !report.shown.length;
byId("cards").append(...report.shown.map(card));
byId("settings").append(
  ...report.settings.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", { dir: "auto" }, value))),
);
