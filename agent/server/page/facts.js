// One fact: its words, its history, and how it is corrected, by saying how it is.

import { get, post } from "./api.js";
import { $, ask, attempt, button, day, el, fill, when } from "./dom.js";
import { forget } from "./forget.js";

export function factCard(fact, after) {
  const history = el("div", { class: "history" });
  const details = el(
    "details",
    {},
    el("summary", {}, "Evidence", el("span", { class: "hidden" }, ` of ${fact.text}`)),
    fact.quotes.map((quote) => el("p", { class: "quote" }, `“${quote.words}”`)),
    history,
  );
  details.addEventListener("toggle", () => details.open && attempt(() => drawHistory(history, fact)), { once: true });
  return el(
    "li",
    { class: `card ${fact.valid_to ? "closed" : ""}` },
    el("p", { class: "text" }, fact.text),
    el("p", { class: "faint" }, ...held(fact), ` · said ${fact.count} ×${sure(fact)}`),
    el(
      "div",
      { class: "row" },
      details,
      el("span", { class: "gap" }),
      button("Correct …", () => correct(fact, after), { class: "quiet", "aria-label": `Correct: ${fact.text}` }),
      button("Forget …", () => forget(fact.id, after), { class: "quiet", "aria-label": `Forget: ${fact.text}` }),
    ),
  );
}

const sure = (fact) => (fact.confidence === null ? "" : ` · sure ${fact.confidence.toFixed(2)}`);

function held(fact) {
  const parts = [];
  if (fact.valid_from) parts.push("from ", when(fact.valid_from));
  if (fact.valid_to) parts.push(" until ", when(fact.valid_to));
  return parts.length ? parts : ["known since ", when(fact.recorded_at)];
}

async function drawHistory(place, fact) {
  const versions = await get(`/api/facts/${encodeURIComponent(fact.id)}/history`);
  const rows = versions.map((one) =>
    el("li", {}, `${one.value} `, el("span", { class: "faint" }, ...held(one), ` · noted ${day(one.recorded_at)} · ${one.status}`)),
  );
  fill(place, el("h3", {}, "History"), el("ol", { class: "going" }, rows));
}

async function correct(fact, after) {
  fill($("correct-what"), fact.text);
  $("correction").value = "";
  if ((await ask($("correct-dialog"))) !== "say") return;
  const words = $("correction").value.trim();
  if (!words) return;
  await post("/api/remember", { said: words, session: "corrections", source: "page" });
  const changed = (await get(`/api/facts/${encodeURIComponent(fact.id)}/history`)).at(-1);
  const moved = changed && (changed.revision !== fact.revision || changed.id !== fact.id);
  const kept = "It is remembered, but no other value for this fact was heard in it. Say it as a statement, such as “I live in Faro.”";
  await after(moved ? `Corrected: ${changed.text}` : kept);
}
