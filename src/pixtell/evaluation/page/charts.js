// Scores as texts, bars and histograms.

const BINS = 30; // of a histogram; the two ends of a range move from bin to bin
const PLOT_HEIGHT = 100;

/** A score as papers tell it, times 100; a dash where there is none. */
const percent = (value, digits = 2) => (value === null ? "\u2013" : fixed(value * 100, digits));

/** An interval as text, or nothing. */
function range(low, high) {
  return low === null || high === null ? "" : `${percent(low)} \u2013 ${percent(high)}`;
}

/** The least or greatest of `values` and 0. Not by spreading: there may be more values than a call takes. */
const extreme = (choose, values) => values.reduce((found, value) => (value === null ? found : choose(found, value)), 0);

/** The right end of an axis from 0 that holds all `values`: 100, or the next 50 above where a score can pass 100. */
function axisEnd(values) {
  const most = extreme(Math.max, values);
  return most <= 1 ? 1 : Math.ceil(most * 2) / 2;
}

/** The ends and the middle of a bar's axis, for the head of its column. */
function axis(low, high) {
  const ticks = [low, (low + high) / 2, high].map((value) => el("i", {}, percent(value, 0)));
  return el("span", { class: "axis", "aria-hidden": "true" }, ...ticks);
}

/** A value as a bar from `zero`, its interval as a line in it, another number as a mark. For the eye only. */
function bar({ value, low, high, mark = null, from = 0, to = 1, zero = 0 }) {
  const place = (number) => ((Math.min(Math.max(number, from), to) - from) / (to - from)) * 100;
  const between = (a, b) => ({ left: `${Math.min(place(a), place(b))}%`, width: `${Math.abs(place(b) - place(a))}%` });
  const parts = [];
  if (from < zero) parts.push(el("i", { class: "zero", style: { left: `${place(zero)}%` } }));
  if (value !== null) parts.push(el("i", { class: "fill", style: between(zero, value) }));
  if (low !== null && high !== null) parts.push(el("i", { class: "span", style: between(low, high) }));
  if (mark !== null) parts.push(el("i", { class: "mark", style: { left: `${place(mark)}%` } }));
  return el("span", { class: "bar", "aria-hidden": "true" }, ...parts);
}

/** One number of every item, to plot, filter and order by. `show` writes a value; `bins` says where each item lies. */
function dimension(name, values, show, from, to) {
  const bins = values.map((value) =>
    value === null ? -1 : Math.min(BINS - 1, Math.max(0, Math.floor(((value - from) / (to - from)) * BINS))),
  );
  return { name, values, show, bins, edge: (bin) => from + ((to - from) * bin) / BINS, range: [0, BINS] };
}

const narrowed = ({ range: [first, last] }) => first > 0 || last < BINS;

function quartiles(values) {
  const known = values.filter((value) => value !== null).sort((a, b) => a - b);
  return [0.25, 0.5, 0.75].map((share) => known[Math.round(share * (known.length - 1))] ?? null);
}

/** The steps of a histogram as the outline of an SVG path, `most` being the full height. */
function outline(counts, most) {
  const height = (number) => (number ? Math.max(1.5, (number / most) * PLOT_HEIGHT) : 0);
  return counts
    .map((number, bin) => `M${bin + 0.06} ${PLOT_HEIGHT}V${PLOT_HEIGHT - height(number)}h0.88V${PLOT_HEIGHT}z`)
    .join("");
}

/**
 * A histogram with two ends to move. Dragging or either slider changes `one.range` and calls `changed`.
 * `update` takes the places of the items that are left by all filters, to show them among all.
 */
function histogram(one, changed) {
  const counted = (places) => {
    const counts = new Array(BINS).fill(0);
    for (const place of places) if (one.bins[place] >= 0) counts[one.bins[place]] += 1;
    return counts;
  };
  const everything = counted(one.bins.keys());
  const most = Math.max(...everything);
  const kept = el("path", { class: "kept" });
  const plot = el(
    "svg",
    { viewBox: `0 0 ${BINS} ${PLOT_HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    el("path", { class: "all", d: outline(everything, most) }),
    kept,
  );
  const [low, middle, high] = quartiles(one.values).map(one.show);
  const chosen = el("span", { class: "chosen" });
  const sliders = ["lowest", "highest"].map((which, end) =>
    el("input", {
      type: "range", min: 0, max: BINS, step: 1, value: one.range[end], "aria-label": `${which} ${one.name}`,
      oninput: (event) => {
        const range = [...one.range];
        const bin = Number(event.target.value);
        range[end] = end ? Math.max(bin, range[0] + 1) : Math.min(bin, range[1] - 1);
        choose(range);
      },
    }),
  );
  const choose = (range) => {
    one.range = range;
    changed();
  };
  brush(plot, choose);
  const update = (places) => {
    kept.setAttribute("d", outline(counted(places), most));
    sliders.forEach((slider, end) => {
      slider.value = one.range[end];
      slider.setAttribute("aria-valuetext", one.show(one.edge(one.range[end])));
    });
    chosen.textContent = narrowed(one) ? `only ${one.range.map((bin) => one.show(one.edge(bin))).join(" to ")}` : "";
  };
  const figure = el(
    "figure",
    { class: "plot" },
    el("figcaption", {}, el("strong", {}, one.name), chosen),
    el("div", { class: "area" }, el("span", { class: "most", "aria-hidden": "true" }, count(most)), plot),
    el("div", { class: "ends" }, ...sliders),
    el("div", { class: "axis", "aria-hidden": "true" },
      ...[0, BINS / 2, BINS].map((bin) => el("i", {}, one.show(one.edge(bin)).replace(/\.0+$/, "")))),
    el("p", { class: "hint" }, `median ${middle}, half of all between ${low} and ${high}`),
  );
  return { figure, update };
}

/** Dragging across `plot` chooses the bins that were passed, a click the one that was hit. */
function brush(plot, choose) {
  let start = null;
  const bin = (event) => {
    const { left, width } = plot.getBoundingClientRect();
    return Math.min(BINS - 1, Math.max(0, Math.floor(((event.clientX - left) / width) * BINS)));
  };
  const drag = (event) => {
    if (start === null) return;
    const now = bin(event);
    choose([Math.min(start, now), Math.max(start, now) + 1]);
  };
  plot.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    start = bin(event);
    plot.setPointerCapture(event.pointerId);
    drag(event);
  });
  plot.addEventListener("pointermove", drag);
  for (const end of ["pointerup", "pointercancel"]) plot.addEventListener(end, () => (start = null));
}
