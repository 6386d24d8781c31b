"use strict";
// Elements and numbers. Texts only ever become text nodes or values: nothing that a model or a person wrote is markup.

const byId = (id) => document.getElementById(id);

window.addEventListener("error", (event) => {
  byId("error").textContent = `Something went wrong on this page: ${event.message}`;
  byId("error").hidden = false;
});

/** What the page was made with. */
const embedded = () => JSON.parse(byId("data").textContent);

/**
 * An element with attributes (a `style` object sets properties, an `on...` function listens) and children; neither
 * null nor an empty text is a child.
 */
function el(tag, attributes = {}, ...children) {
  const made = ["svg", "path"].includes(tag)
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "style") for (const [key, one] of Object.entries(value)) made.style.setProperty(key, one);
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== ""));
  return made;
}

/** A function that calls `action` once before the next frame, however often it is called until then. */
function onceAFrame(action) {
  let waiting = 0;
  return () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => action());
  };
}

const count = (number) => number.toLocaleString("en");
const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

/** A number with a true minus, and none before a zero. */
const fixed = (number, digits) => number.toFixed(digits).replace(/^-(?=[0.]*$)/, "").replace("-", "\u2212");
