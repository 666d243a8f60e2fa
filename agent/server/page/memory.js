// What is remembered: search with why, facts, timeline, writes; all of it as of any day.

import { get, post } from "./api.js";
import { $, attempt, button, clock, day, el, fill, plural, tell, when } from "./dom.js";
import { factCard } from "./facts.js";
import { forget } from "./forget.js";

const DAY = 86_400_000;
const PAGE = 200; // turns of the timeline at a time

let first = null; // the day on which the slider begins, in milliseconds
let tab = "facts";

export const memory = {
  title: "Memory",
  async show() {
    await slider();
    await draw();
  },
  reset() {
    for (const id of ["found", "facts", "timeline", "writes"]) fill($(id));
    $("query").value = "";
    first = null;
    if (tab === "found") select($("tab-facts"));
    $("tab-found").hidden = true;
  },
  start() {
    $("search").addEventListener("submit", (event) => {
      event.preventDefault();
      attempt(() => choose($("query").value.trim() ? $("tab-found") : $("tab-facts")));
    });
    $("as-of").addEventListener("input", label);
    $("as-of").addEventListener("change", () => attempt(memory.show));
    const tabs = [...document.querySelectorAll("[role=tab]")];
    for (const one of tabs) {
      one.addEventListener("click", () => attempt(() => choose(one)));
      one.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        const shown = tabs.filter((other) => !other.hidden);
        const next = shown[(shown.indexOf(one) + step + shown.length) % shown.length];
        next.focus();
        next.click();
      });
    }
  },
};

async function choose(chosen) {
  select(chosen);
  await draw();
}

function select(chosen) {
  $("tab-found").hidden = !$("query").value.trim();
  for (const one of document.querySelectorAll("[role=tab]")) {
    const on = one === chosen;
    one.setAttribute("aria-selected", String(on));
    one.tabIndex = on ? 0 : -1;
    $(one.getAttribute("aria-controls")).hidden = !on;
  }
  tab = chosen.getAttribute("aria-controls");
}

const draw = () => ({ found: search, facts, timeline, writes })[tab]();

async function again(text) {
  tell(text);
  await memory.show();
}

// --- as of

async function slider() {
  const known = await get("/api/stats");
  const range = $("as-of");
  const began = known.first ? new Date(day(known.first)).getTime() : null;
  const wasNow = first === null || range.value === range.max;
  const days = began === null ? 0 : Math.max(0, Math.round((new Date(day(new Date())).getTime() - began) / DAY));
  first = began;
  range.max = String(days + 1); // one step past today is now
  if (wasNow) range.value = range.max;
  range.disabled = began === null;
  label();
}

/** The end of the chosen day, or null for now. */
function asOf() {
  const range = $("as-of");
  if (first === null || range.value === range.max) return null;
  const chosen = new Date(first + Number(range.value) * DAY);
  return new Date(chosen.getUTCFullYear(), chosen.getUTCMonth(), chosen.getUTCDate(), 23, 59, 59, 999).toISOString();
}

function label() {
  const time = asOf();
  fill($("as-of-told"), time ? day(time) : "now");
  $("as-of").setAttribute("aria-valuetext", time ? day(time) : "now");
}

// --- search

async function search() {
  const query = $("query").value.trim();
  const time = asOf();
  const hits = await post("/api/recall", { query, k: 10, units: ["turn", "fact", "summary"], before: time, time });
  const all = button("Forget all that holds these words …", () => forget(query, again), { class: "quiet" });
  fill(
    $("found"),
    el("div", { class: "row" }, el("h2", {}, hits.length ? `Found for “${query}”` : `Nothing was found for “${query}”.`), el("span", { class: "gap" }), hits.length ? all : null),
    el("ol", { class: "plain" }, hits.map((hit, at) => found(hit, query, at))),
  );
  if (document.activeElement === $("query")) tell(`${plural(hits.length, "result")} for ${query}`, { quiet: true });
}

function found(hit, query, at) {
  const reasons = Object.entries(hit.why).map(([name, value]) =>
    el("div", {}, el("dt", {}, name), el("dd", {}, typeof value === "number" ? value.toFixed(3) : String(value ?? "–"))),
  );
  const useful = (good) => async () => {
    await post("/api/feedback/used", { query, good: good ? [hit.id] : [], bad: good ? [] : [hit.id] });
    tell("Noted: the next search learns from it.");
  };
  const named = `result ${at + 1}`;
  return el(
    "li",
    { class: "card hit" },
    el("p", { class: "text" }, hit.text),
    el("p", { class: "faint" }, when(hit.time), ` · ${hit.unit} · ${hit.speaker || hit.source} · score ${hit.score === null ? "–" : hit.score.toFixed(3)}`),
    el(
      "div",
      { class: "row" },
      el("details", {}, el("summary", {}, "Why", el("span", { class: "hidden" }, ` ${named}`)), el("dl", { class: "reasons" }, reasons)),
      el("span", { class: "gap" }),
      button("Of use", useful(true), { class: "quiet", "aria-label": `Of use: ${named}` }),
      button("Not it", useful(false), { class: "quiet", "aria-label": `Not it: ${named}` }),
      button("Forget …", () => forget(hit.id, again), { class: "quiet", "aria-label": `Forget ${named}` }),
    ),
  );
}

// --- facts, timeline, writes

async function facts() {
  const known = await get("/api/facts", { as_of: asOf() });
  const bySubject = grouped(known, (one) => one.subject);
  const parts = [...bySubject].flatMap(([subject, some]) => [
    el("h2", {}, subject === "user" ? "You" : subject),
    el("ul", { class: "plain" }, some.map((one) => factCard(one, again))),
  ]);
  fill($("facts"), parts.length ? parts : el("p", { class: "faint" }, "No fact was known then. Facts are read from statements such as “I live in Porto.”"));
}

async function timeline() {
  const turns = await get("/api/timeline", { until: asOf(), limit: PAGE });
  const list = el("div");
  list.append(...days(turns));
  fill($("timeline"), turns.length ? list : el("p", { class: "faint" }, "Nothing was said until then."), turns.length === PAGE ? more(list, turns.at(-1)) : null);
}

function days(turns) {
  return [...grouped(turns, (one) => day(one.time))].map(([date, some]) =>
    el("section", { "aria-label": date }, el("h2", {}, date), el("ol", { class: "plain" }, some.map(turn))),
  );
}

/** Older turns, by the time of the oldest that is shown. */
function more(list, oldest) {
  const made = button("Older", async () => {
    const until = new Date(new Date(oldest.time).getTime() - 1).toISOString();
    const turns = await get("/api/timeline", { until, limit: PAGE });
    list.append(...days(turns));
    oldest = turns.at(-1);
    if (turns.length < PAGE) made.remove();
  });
  return made;
}

function turn(one) {
  return el(
    "li",
    { class: "card" },
    el("p", { class: "text" }, one.text),
    el(
      "div",
      { class: "row" },
      el("span", { class: "faint" }, `${clock(one.time)} · ${one.speaker || one.role} · ${one.session || one.source}`),
      el("span", { class: "gap" }),
      button("Forget …", () => forget(one.id, again), { class: "quiet", "aria-label": `Forget: ${one.text.slice(0, 60)}` }),
    ),
  );
}

async function writes() {
  const log = await get("/api/log", { limit: 50 });
  const rows = log.map((one) =>
    el(
      "li",
      { class: "card" },
      el("p", {}, el("strong", {}, `${one.event} · ${one.action}`), " ", when(one.at, { hours: true }), one.undone_by ? ` · taken back by ${one.undone_by}` : ""),
      el("ul", { class: "changes" }, one.differences.slice(0, 12).map((change) => el("li", {}, change.line))),
      one.differences.length > 12 ? el("p", { class: "faint" }, `and ${one.differences.length - 12} more`) : null,
      one.undone_by || FINAL.has(one.action) ? null : button("Undo", () => undo(one.event), { "aria-label": `Undo write ${one.event}` }),
    ),
  );
  fill($("writes"), rows.length ? el("ol", { class: "plain" }, rows) : el("p", { class: "faint" }, "Nothing was written yet."));
}

const FINAL = new Set(["forget", "expire", "repair"]); // nothing is left of these to go back to

async function undo(event) {
  const done = await post("/api/undo", { event });
  await again(`Write ${event} was taken back: ${plural(done.differences.length, "change")}.`);
}

/** Take back the last write, from the keyboard. */
export async function undoLast() {
  const done = await post("/api/undo");
  await again(`Write ${done.undoes} was taken back: ${plural(done.differences.length, "change")}.`);
}

function grouped(all, key) {
  const groups = new Map();
  for (const one of all) groups.set(key(one), [...(groups.get(key(one)) ?? []), one]);
  return groups;
}
