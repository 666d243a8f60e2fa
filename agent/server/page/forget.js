// Forgetting: what would go is shown first, and only a yes to that lets it go.

import { post } from "./api.js";
import { $, ask, el, fill, plural, tell, when } from "./dom.js";

/** Ask, and forget what the person says yes to; then `after` is told. `target`: an id, or words. */
export async function forget(target, after) {
  const going = await post("/api/forget/preview", { target });
  if (!going.episodes.length && !going.facts.length && !going.trimmed.length) {
    tell("Nothing would go: nothing holds this.");
    return;
  }
  fill(
    $("forget-body"),
    part("What was said", going.episodes, (one) => [one.text, " ", when(one.time)]),
    part("Facts that go", going.facts, (one) => [one.text]),
    part("Facts that lose a part of what they rest on", going.trimmed, (one) => [one.text]),
    going.others.length ? el("p", {}, others(going.others)) : null,
  );
  if ((await ask($("forget-dialog"))) !== "forget") return;
  const gone = await post("/api/forget", { target });
  await after(`Forgotten: ${plural(gone.episodes.length, "turn")}, ${plural(gone.facts.length, "fact")}.`);
}

function part(title, all, shown) {
  if (!all.length) return null;
  const rows = all.slice(0, 50).map((one) => el("li", {}, ...shown(one)));
  if (all.length > 50) rows.push(el("li", { class: "faint" }, `and ${all.length - 50} more`));
  return [el("h3", {}, title), el("ul", { class: "going" }, rows)];
}

function others(all) {
  const counts = new Map();
  for (const one of all) counts.set(one.kind, (counts.get(one.kind) ?? 0) + 1);
  return `And derived from it: ${[...counts].map(([kind, count]) => `${count} × ${kind}`).join(", ")}.`;
}
