// What a person wrote: a text for the place of a row. Kept in the browser, saved as lines that --apply reads.

const edits = new Map(); // place of a row -> its new text
const stale = new Set(); // places whose text in the files has changed since a person edited it here
const places = new Map(rows.map((row, place) => [row.name, place]));
const KEY = `pixtell contact ${sheet.key}`;
let saved = true; // whether all edits are in a file
let writing = 0;

const editable = (row) => row.status === "ok";
const original = (place) => rows[place].text ?? "";
const textOf = (place) => edits.get(place) ?? original(place);

/** Give a row a text. The one it has already is no edit, unless that accepts it. */
function edit(place, text, accepted = false) {
  if (text === original(place) && !accepted) edits.delete(place);
  else edits.set(place, text);
  stale.delete(place);
  saved = edits.size === 0;
  clearTimeout(writing);
  writing = setTimeout(keep, 250);
}

/** The edits as `--apply` reads them, an object a line, in the order of the inputs. */
function editsText() {
  return [...edits.keys()]
    .sort((a, b) => a - b)
    .map((place) => {
      const { name, sha256 = "" } = rows[place];
      return `${JSON.stringify({ name, text: edits.get(place).trim(), was: original(place), sha256 })}\n`;
    })
    .join("");
}

/** Write the edits into the browser's store. Pages of a disk have none in some browsers. */
function keep() {
  clearTimeout(writing);
  const kept = [...edits].map(([place, text]) => [rows[place].name, text, original(place)]);
  try {
    if (kept.length) localStorage.setItem(KEY, JSON.stringify({ saved, edits: kept }));
    else localStorage.removeItem(KEY);
    return true;
  } catch {
    return false;
  }
}

/** Take the edits that the browser keeps; those that are in the files by now are done. */
function recall() {
  edits.clear();
  stale.clear();
  saved = true;
  let kept = null;
  try {
    kept = JSON.parse(localStorage.getItem(KEY));
  } catch {
    // no store, or something else in it: there is nothing to recall
  }
  if (!Array.isArray(kept?.edits)) return;
  for (const [name, text, was] of kept.edits) {
    const place = places.get(name);
    if (place === undefined || !editable(rows[place]) || typeof text !== "string") continue;
    const now = original(place);
    if (text.trim() === now && !(rows[place].review && was === now)) continue;
    edits.set(place, text);
    if (was !== now) stale.add(place);
  }
  saved = kept.saved === true || edits.size === 0;
}

/** Hand the edits over as a file. */
function save() {
  if (!edits.size) return;
  const address = URL.createObjectURL(new Blob([editsText()], { type: "application/jsonl" }));
  el("a", { href: address, download: "edits.jsonl" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
  saved = true;
  keep();
}
