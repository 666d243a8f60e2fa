// Conversations: the list of them, what was said, a reply as it is written, and how to stop it.

import { get, post, reply } from "./api.js";
import { $, attempt, button, clock, day, el, fill, plural, tell, when } from "./dom.js";
import { markdown } from "./markdown.js";
import { explained } from "./why.js";

const TURNS = 200; // of a conversation, the last ones
const CONTEXT = 40; // messages that go along with a turn of which nothing is kept
const TITLES = 1000; // turns in which first words of conversations are looked for

let thread = ""; // "" until something was said in a new one
let spoken = []; // what was said in it, as messages: all that a turn has of which nothing is kept
let running = null; // the AbortController of the reply that is being written
let whyButton = null; // where the focus goes when the reasons are closed

export const chat = {
  title: "Chat",
  async show() {
    await list();
    if (!$("log").children.length) await open(thread);
    $("say").focus();
  },
  /** Another person: nothing of this one stays on the screen. */
  reset() {
    stop();
    thread = "";
    closeWhy();
    fill($("log"));
    fill($("thread-list"));
  },
  start() {
    $("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      attempt(say);
    });
    $("say").addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      attempt(say);
    });
    $("stop").addEventListener("click", stop);
    $("new-thread").addEventListener("click", () => attempt(newThread));
    $("close-why").addEventListener("click", closeWhy);
    $("strength").addEventListener("input", () => fill($("strength-told"), $("strength").value));
    $("show-threads").addEventListener("click", () => unfold($("show-threads").getAttribute("aria-expanded") !== "true"));
  },
};

export async function newThread() {
  await open("");
  $("say").focus();
}

export function stop() {
  running?.abort();
}

export function closeWhy() {
  if ($("why").hidden) return false;
  $("why").hidden = true;
  whyButton?.setAttribute("aria-expanded", "false");
  whyButton?.focus();
  whyButton = null;
  return true;
}

export const writing = () => running !== null;

/** The reasons of the last reply, for the keyboard. */
export function lastWhy() {
  [...document.querySelectorAll("#log .why")].at(-1)?.click();
}

function unfold(open) {
  $("show-threads").setAttribute("aria-expanded", String(open));
  $("threads").classList.toggle("open", open);
}

async function list() {
  const [sessions, turns] = await Promise.all([get("/api/sessions"), get("/api/timeline", { limit: TITLES })]);
  const first = new Map(); // the turns come newest first, so the last one that is written here is the first said
  for (const turn of turns) if (turn.role === "user") first.set(turn.session, turn.text);
  const newest = sessions.sort((one, other) => (other.ended ?? "").localeCompare(one.ended ?? ""));
  const rows = newest.map((one) =>
    el(
      "li",
      {},
      el(
        "button",
        { type: "button", class: "thread", "data-thread": one.id, "aria-current": one.id === thread ? "true" : null, onclick: () => attempt(() => open(one.id)) },
        el("span", { class: "clip" }, first.get(one.id) ?? one.summary ?? one.id),
        el("span", { class: "faint" }, one.ended ? day(one.ended) : "", ` · ${plural(one.turns, "turn")}`),
      ),
    ),
  );
  fill($("thread-list"), rows.length ? rows : el("li", { class: "faint" }, "Nothing was said yet."));
}

async function open(id) {
  stop();
  closeWhy();
  unfold(false);
  thread = id;
  const turns = id ? await get("/api/timeline", { session: id, limit: TURNS }) : [];
  if (thread !== id) return; // somebody has clicked on
  turns.reverse();
  spoken = turns.filter((one) => one.role === "user" || one.role === "assistant").map((one) => ({ role: one.role, content: one.text }));
  fill($("chat-title"), turns.find((one) => one.role === "user")?.text.slice(0, 80) ?? "New conversation");
  const said = turns.map((one) => message(one.role, one.text, { speaker: one.speaker, time: one.time, id: one.id }).row);
  fill($("log"), said.length ? said : el("p", { class: "faint empty" }, "What you say here is remembered, on this machine."));
  for (const row of $("thread-list").querySelectorAll("button")) {
    if (row.dataset.thread === id) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }
  $("log").scrollTop = $("log").scrollHeight;
}

function message(role, text, { speaker = role, time, id } = {}) {
  const body = el("div", { class: "body" }, ...(role === "user" ? [el("p", { class: "said" }, text)] : markdown(text)));
  const foot = el("div", { class: "row foot" });
  const name = role === "user" ? "You" : role === "assistant" ? "mnemon" : speaker;
  const row = el("article", { class: `turn ${role}`, "aria-label": `${name} said` }, el("p", { class: "faint" }, name, " ", time ? when(time, { hours: true }) : ""), body, foot);
  if (role === "assistant" && id) foot.append(...thumbs(id));
  return { row, body, foot };
}

function thumbs(id) {
  const thumb = (rating, label, sign) =>
    button(sign, async () => {
      await post("/api/feedback/rating", { reply_id: id, rating });
      tell("Noted: it is learnt from.");
    }, { class: "quiet", "aria-label": label });
  return [thumb(1, "A good reply", "Good"), thumb(-1, "Not a good reply", "Not good")];
}

async function say() {
  const text = $("say").value.trim();
  if (!text || running) return;
  if ($("log").querySelector(".empty")) {
    fill($("log"));
    fill($("chat-title"), text.slice(0, 80));
  }
  const temporary = $("temporary").checked;
  thread ||= newName();
  const here = thread;
  const before = temporary ? spoken.slice(-CONTEXT) : []; // otherwise memory has it
  const asking = { role: "user", content: text };
  const told = message("assistant", "", { time: new Date().toISOString() });
  $("log").append(message("user", text, { time: new Date().toISOString() }).row, told.row);
  $("say").value = "";
  begin(told);
  let written = "";
  try {
    const asked = {
      messages: [...before, asking],
      thread: here,
      temporary,
      lambda: Number($("strength").value),
      explain: true,
    };
    const onPiece = (piece) => {
      written += piece;
      redraw(told.body, written);
    };
    const whole = await reply(asked, { onPiece, signal: running.signal });
    redraw.now(told.body, written);
    finish(told, whole);
  } catch (error) {
    redraw.now(told.body, written);
    if (error.name !== "AbortError") {
      told.foot.append(el("span", { class: "wrong" }, error.message));
      if (!written) $("say").value = text; // not lost: it can be sent again
      throw error;
    }
    told.foot.append(el("span", { class: "faint" }, temporary ? "Stopped." : "Stopped. What was said is kept."));
  } finally {
    end();
    if (written && here === thread) spoken.push(asking, { role: "assistant", content: written });
  }
  if (!temporary) await list();
}

function begin(told) {
  running = new AbortController();
  $("stop").hidden = false;
  $("send").hidden = true;
  $("log").setAttribute("aria-busy", "true"); // read out when it is whole, not piece by piece
  told.row.classList.add("writing");
  $("log").scrollTop = $("log").scrollHeight;
}

function end() {
  running = null;
  const hadFocus = document.activeElement === $("stop");
  $("stop").hidden = true;
  $("send").hidden = false;
  if (hadFocus) $("say").focus();
  $("log").setAttribute("aria-busy", "false");
  document.querySelector(".writing")?.classList.remove("writing");
}

function finish(told, whole) {
  const open = button("Why?", () => showWhy(whole, open), { class: "quiet why", "aria-expanded": "false", "aria-controls": "why" });
  told.foot.append(open, ...(whole.reply_id ? thumbs(whole.reply_id) : []));
  if (whole.finish === "length") told.foot.append(el("span", { class: "faint" }, "It was cut off at its longest."));
  if (!$("why").hidden) showWhy(whole, open, { focus: false });
}

function showWhy(whole, opener, { focus = true } = {}) {
  if (whyButton === opener) {
    closeWhy();
    return;
  }
  whyButton?.setAttribute("aria-expanded", "false");
  whyButton = opener;
  opener.setAttribute("aria-expanded", "true");
  fill($("why-body"), explained(whole));
  $("why").hidden = false;
  if (focus) $("why-title").focus();
}

/** Draw what was written so far, once a frame at most, and stay at the end if the reader is there. */
function redraw(body, text) {
  redraw.latest = [body, text];
  redraw.asked ||= requestAnimationFrame(() => {
    redraw.asked = 0;
    if (redraw.latest) redraw.now(...redraw.latest);
  });
}
redraw.now = (body, text) => {
  redraw.latest = null;
  const log = $("log");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  fill(body, ...markdown(text));
  if (atEnd) log.scrollTop = log.scrollHeight;
};

function newName() {
  const now = new Date();
  const random = crypto.getRandomValues(new Uint32Array(1))[0].toString(16).padStart(8, "0");
  return `chat-${day(now).replaceAll("-", "")}-${clock(now).replace(":", "")}-${random}`;
}
