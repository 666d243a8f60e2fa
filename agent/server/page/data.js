// The person's data: how much there is, taken along, taken in, erased.

import { download, get, post, session, upload } from "./api.js";
import { $, attempt, day, el, fill, plural, tell } from "./dom.js";

export const data = {
  title: "Data",
  async show() {
    const known = await get("/api/stats");
    const rows = {
      Person: known.user,
      Turns: known.episodes,
      Facts: known.facts,
      Conversations: known.sessions,
      Writes: known.events,
      "Said from": known.first ? `${day(known.first)} to ${day(known.last)}` : "nothing yet",
      Embedder: known.embedder,
    };
    fill($("stats"), Object.entries(rows).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, String(value))]));
    $("erase-name").placeholder = known.user;
  },
  reset() {
    fill($("stats"));
    $("erase-name").value = "";
    $("import").reset();
  },
  start() {
    $("export").addEventListener("click", () => attempt(take));
    $("import").addEventListener("submit", (event) => {
      event.preventDefault();
      attempt(bring);
    });
    $("erase").addEventListener("submit", (event) => {
      event.preventDefault();
      attempt(erase);
    });
  },
};

async function take() {
  const link = el("a", { href: URL.createObjectURL(await download("/api/export")), download: `mnemon-${day(new Date())}.zip` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  tell("Exported.");
}

async function bring() {
  const taken = await upload("/api/import", $("import-file").files[0]);
  $("import").reset();
  await data.show();
  tell(taken.records ? `Taken in: ${plural(taken.records, "record")}.` : "All of it was here already.");
}

async function erase() {
  const confirm = $("erase-name").value;
  const name = session.user;
  if (confirm !== name) {
    tell(`To erase, type the name: ${name}`, { wrong: true });
    $("erase-name").focus();
    return;
  }
  const gone = await post("/api/erase", { confirm });
  document.dispatchEvent(new CustomEvent("mnemon:person"));
  tell(`${name} was erased: ${plural(gone.episodes, "turn")}, ${plural(gone.facts, "fact")}.`);
}
