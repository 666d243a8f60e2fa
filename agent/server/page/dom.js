// Elements out of data. Whatever comes from a memory or a model becomes text, never markup: nothing here or
// elsewhere on the page writes HTML, and the server's policy (Trusted Types) makes the browser refuse it.

/** An element with attributes, listeners (`onclick: f`) and children: nodes, or text. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in PROPERTIES) element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

const PROPERTIES = { value: 1, checked: 1, disabled: 1, hidden: 1, indeterminate: 1, htmlFor: 1 };

export const $ = (id) => document.getElementById(id);

/** Put these in the place of what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
}

/** Say something to everybody: in the line at the bottom, which screen readers read out. `quiet`: only there. */
export function tell(text, { wrong = false, quiet = false } = {}) {
  const line = $("told");
  line.textContent = text;
  line.classList.toggle("wrong", wrong);
  line.classList.toggle("shown", Boolean(text) && !quiet);
  clearTimeout(tell.timer);
  if (text && !wrong) tell.timer = setTimeout(() => line.classList.remove("shown"), 6000);
}

/** Do it; what goes wrong is told, with the server's next step. */
export async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    if (error.name !== "AbortError") tell([error.message, error.hint].filter(Boolean).join(" "), { wrong: true });
    return undefined;
  }
}

/** A button that works once at a time. */
export function button(label, work, attributes = {}) {
  const made = el("button", { type: "button", ...attributes }, label);
  made.addEventListener("click", async () => {
    if (made.getAttribute("aria-disabled") === "true") return;
    made.setAttribute("aria-disabled", "true"); // not `disabled`, which would lose the focus
    await attempt(work);
    made.removeAttribute("aria-disabled");
  });
  return made;
}

/** Open a dialog and wait for how it is closed: a button's value, or "" on Esc. */
export function ask(dialog) {
  return new Promise((resolve) => {
    dialog.returnValue = "";
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
    dialog.showModal();
  });
}

const two = (number) => String(number).padStart(2, "0");

/** 2024-05-01, where the reader is. */
export function day(time) {
  const date = new Date(time);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

export function clock(time) {
  const date = new Date(time);
  return `${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** A date for people and for machines. */
export function when(time, { hours = false } = {}) {
  if (!time) return null;
  return el("time", { datetime: time }, hours ? `${day(time)} ${clock(time)}` : day(time));
}

export const signed = (number) => `${number < 0 ? "−" : "+"}${Math.abs(number).toFixed(2)}`;

export function plural(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}
