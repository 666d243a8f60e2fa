// Two replies side by side, and which one the person prefers.

import { post, reply } from "./api.js";
import { $, button, el, fill } from "./dom.js";
import { markdown } from "./markdown.js";

const LONGEST = 120; // tokens: enough to see a style
const STRENGTH = 2; // λ: at the usual one, small models differ too little to choose between

let running = null;

export function stopPreview() {
  running?.abort();
  running = null;
}

/** Show both, written now (`persona`) or known already (`text`); then `after` a choice was kept. */
export async function preview(question, styles, after) {
  stopPreview();
  const mine = new AbortController();
  running = mine;
  const sides = styles.map((style) => side(style));
  const place = $("preview");
  place.setAttribute("aria-busy", "true");
  fill(place, el("p", { class: "question" }, `“${question}”`), sides.map((one) => one.box));
  try {
    // One after the other: on one machine two at once would both be slow.
    const texts = [];
    for (const [at, style] of styles.entries()) texts.push(style.text ?? (await written(question, style, sides[at].body, mine.signal)));
    choices(question, texts, sides, place, after);
  } finally {
    if (running === mine) {
      running = null;
      place.setAttribute("aria-busy", "false");
    }
  }
}

function side(style) {
  const body = el("div", { class: "body" }, ...(style.text ? markdown(style.text) : []));
  return { body, box: el("section", { class: "card style", "aria-label": style.label }, el("h3", {}, style.label), body) };
}

async function written(question, style, body, signal) {
  let text = "";
  const onPiece = (piece) => {
    text += piece;
    fill(body, ...markdown(text));
  };
  const asked = {
    messages: [{ role: "user", content: question }],
    temporary: true,
    persona: style.persona,
    lambda: STRENGTH,
    max_tokens: LONGEST,
  };
  await reply(asked, { onPiece, signal });
  return text;
}

function choices(question, texts, sides, place, after) {
  if (texts[0] === texts[1]) {
    place.append(el("p", { class: "faint", role: "status" }, "Both came out the same. Move a slider further, or ask something else."));
    return;
  }
  for (const [at, one] of sides.entries()) {
    const prefer = async () => {
      await post("/api/feedback/pair", { prompt: question, chosen: texts[at], rejected: texts[1 - at] });
      fill(place, el("p", { class: "faint" }, "Your choice is kept."));
      await after();
    };
    one.box.append(button("I prefer this one", prefer, { class: "main", "aria-label": `I prefer: ${one.box.getAttribute("aria-label")}` }));
  }
  place.append(button("Neither", async () => fill(place), { class: "quiet" }));
}
