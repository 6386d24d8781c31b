"use strict";
// Elements and numbers. Texts only ever become text nodes or values: nothing that a model or a person wrote is markup.

window.addEventListener("error", (event) => {
  const box = document.getElementById("error");
  box.textContent = `Something went wrong on this page: ${event.message}`;
  box.hidden = false;
});

const byId = (id) => document.getElementById(id);

/** An element with attributes (an `on...` function listens) and children; null is no child. */
function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== ""));
  return made;
}

const count = (number) => number.toLocaleString("en");
const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

/** A number with a true minus, and none before a zero. */
const fixed = (number, digits) => number.toFixed(digits).replace(/^-(?=[0.]*$)/, "").replace("-", "\u2212");

/** Seconds as a clock shows them. */
function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  const [hours, minutes] = [Math.floor(tenths / 36000), Math.floor(tenths / 600) % 60];
  const rest = ((tenths % 600) / 10).toFixed(tenths % 10 ? 1 : 0).padStart(tenths % 10 ? 4 : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

// ---- what is embedded

const sheet = JSON.parse(byId("data").textContent);
const rows = sheet.rows;
const chunks = [];

/** A thumbnail as an address; a chunk of them is only looked at when one of it is to be seen. */
function thumbnail(number) {
  const chunk = Math.floor(number / sheet.chunk);
  chunks[chunk] ??= byId(`pictures-${chunk}`).textContent.split("\n");
  return `data:image/webp;base64,${chunks[chunk][number % sheet.chunk]}`;
}
