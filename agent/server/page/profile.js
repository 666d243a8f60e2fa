// Who the person is taken to be, with evidence, and sliders for how they are answered.

import { get, post, put, remove } from "./api.js";
import { $, attempt, button, el, fill, signed, tell, when } from "./dom.js";
import { preview, stopPreview } from "./preview.js";

const SECTIONS = [
  "who they are",
  "people",
  "preferences",
  "constraints",
  "routines",
  "goals",
  "things",
  "events",
];

let bank = new Map(); // the traits there are, by name
let known = new Map(); // leanings that hold always, by trait
const drafts = new Map(); // weights that were moved and not saved

export const profile = {
  title: "Profile",
  async show() {
    if (!bank.size) bank = new Map((await get("/api/traits")).map((one) => [one.name, one]));
    fill($("asked"), button("Ask me about two others", question));
    draw(await get("/api/profile"));
  },
  reset() {
    stopPreview();
    drafts.clear();
    for (const id of ["statements", "sliders", "preview", "asked"]) fill($(id));
  },
  start() {
    fill($("section"), SECTIONS.map((one) => el("option", {}, one)));
    $("add-statement").addEventListener("submit", (event) => {
      event.preventDefault();
      attempt(add);
    });
    $("more-traits").addEventListener("change", () => {
      const name = $("more-traits").value;
      if (!name) return;
      drafts.set(name, 0);
      sliders();
      $(`trait-${name}`).focus();
    });
    $("preview-form").addEventListener("submit", (event) => {
      event.preventDefault();
      attempt(tryBoth);
    });
  },
};

function draw(found) {
  statements(found.statements);
  known = new Map(found.traits.filter((one) => !one.when).map((one) => [one.trait, one]));
  conditional = found.traits.filter((one) => one.when);
  sliders();
}

let conditional = []; // leanings that hold for some questions only: shown, set on the command line

// --- statements

function statements(all) {
  const sections = new Map();
  for (const one of all) sections.set(one.section, [...(sections.get(one.section) ?? []), one]);
  const parts = [...sections].flatMap(([section, some]) => [
    el("h3", {}, section),
    el("ul", { class: "plain" }, some.map(statement)),
  ]);
  fill($("statements"), parts.length ? parts : el("p", { class: "faint" }, "Nothing yet. A profile is read from what you say."));
}

function statement(one) {
  const notes = [one.sensitive && `sensitive: ${one.sensitive}`, one.source, one.confidence !== null && `sure ${one.confidence.toFixed(2)}`];
  return el(
    "li",
    { class: "card" },
    el("p", { class: "text" }, one.text),
    el(
      "div",
      { class: "row" },
      el(
        "details",
        {},
        el("summary", {}, "Evidence", el("span", { class: "hidden" }, ` of ${one.text}`)),
        one.quotes.map((quote) => el("p", { class: "quote" }, `“${quote.words}”`)),
        el("p", { class: "faint" }, one.said_at ? when(one.said_at) : "", ` · ${notes.filter(Boolean).join(" · ")}`),
      ),
      el("span", { class: "gap" }),
      button("Not so", () => drop(one), { class: "quiet", "aria-label": `Never say again: ${one.text}` }),
    ),
  );
}

async function add() {
  const text = $("statement").value.trim();
  if (!text) return;
  draw(await post("/api/profile/statements", { section: $("section").value, text }));
  $("statement").value = "";
  tell("Added. It can be undone under Memory, Writes.");
}

async function drop(one) {
  draw(await remove(`/api/profile/statements/${encodeURIComponent(one.key)}`));
  tell("It will not be said again. What it was learnt from stays until it is forgotten.");
}

// --- sliders

function sliders() {
  const names = [...new Set([...known.keys(), ...drafts.keys()])].filter((name) => bank.has(name));
  const rows = names.map(slider);
  const others = conditional.map((one) => el("p", { class: "faint" }, `${one.trait} ${signed(one.weight)} when ${one.when} (${one.origin})`));
  fill(
    $("sliders"),
    rows.length ? rows : el("p", { class: "faint" }, "Nothing is known yet. Choose a trait below, or say “Keep your answers short.”"),
    others,
    drafts.size
      ? el("div", { class: "row" }, button("Save", save, { class: "main" }), button("As it was", async () => { drafts.clear(); sliders(); }))
      : null,
  );
  const left = [...bank.keys()].filter((name) => !names.includes(name)).sort();
  fill($("more-traits"), el("option", { value: "" }, "Choose …"), left.map((name) => el("option", { value: name }, name)));
}

function slider(name) {
  const leaning = known.get(name);
  const trait = bank.get(name);
  const now = drafts.get(name) ?? leaning?.weight ?? 0;
  const told = el("output", { for: `trait-${name}` }, signed(now));
  const range = el("input", { type: "range", id: `trait-${name}`, min: -1, max: 1, step: 0.1, value: now, "aria-describedby": `ends-${name}` });
  range.addEventListener("input", () => fill(told, signed(Number(range.value))));
  range.addEventListener("change", () => {
    drafts.set(name, Number(range.value));
    sliders();
    $(`trait-${name}`).focus();
    attempt(tryBoth);
  });
  const origin = leaning ? `${leaning.origin}, sure ${leaning.confidence.toFixed(2)}` : "not saved";
  return el(
    "div",
    { class: `slider card ${drafts.has(name) ? "draft" : ""}` },
    el("div", { class: "row" }, el("label", { for: `trait-${name}` }, name), told, el("span", { class: "faint" }, origin), el("span", { class: "gap" }),
      leaning ? button("Drop", async () => { drafts.delete(name); draw(await remove(`/api/profile/traits/${encodeURIComponent(name)}`)); }, { class: "quiet", "aria-label": `Drop ${name}` }) : null),
    range,
    el("p", { class: "ends faint", id: `ends-${name}` }, el("span", {}, trait.opposite), el("span", {}, trait.instruction)),
    leaning?.quote ? el("p", { class: "quote" }, `“${leaning.quote}”`) : null,
  );
}

async function save() {
  let found = null;
  for (const [name, weight] of drafts) found = await put(`/api/profile/traits/${encodeURIComponent(name)}`, { weight });
  drafts.clear();
  if (found) draw(found);
  tell("Saved: replies lean so from now on.");
}

// --- which do you prefer?

async function tryBoth() {
  const question = $("preview-question").value.trim();
  if (!question) return;
  const wanted = drafts.size ? Object.fromEntries(drafts) : { concise: 1 };
  const words = Object.entries(wanted).map(([name, weight]) => `${name} ${signed(weight)}`).join(", ");
  await preview(question, [
    { label: "As you are known now", persona: {} },
    { label: `With ${words}`, persona: wanted },
  ], learnt);
}

/** A pair whose answer should tell most; it comes with mnemon, so no model has to write it. */
async function question() {
  const pair = await get("/api/feedback/question");
  await preview(pair.question, [
    { label: "One", text: pair.first },
    { label: "Two", text: pair.second },
  ], async () => {
    await learnt();
    await question();
  });
}

async function learnt() {
  draw(await post("/api/profile/refresh"));
  tell("Noted: it is learnt from.");
}
