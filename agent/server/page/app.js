// The page put together: which view is shown, whose memory it is, tokens, shortcuts.

import { plainGet, session } from "./api.js";
import { chat, closeWhy, lastWhy, newThread, stop, writing } from "./chat.js";
import { data } from "./data.js";
import { $, ask, attempt, el, fill, tell } from "./dom.js";
import { memory, undoLast } from "./memory.js";
import { profile } from "./profile.js";

const VIEWS = { chat, memory, profile, data };
const USER = "mnemon.user";
const KEYS_OFF = "mnemon.keys-off";

const KEYS = {
  1: ["Chat", () => go("chat")],
  2: ["Memory", () => go("memory")],
  3: ["Profile", () => go("profile")],
  4: ["Data", () => go("data")],
  n: ["New conversation", () => go("chat").then(newThread)],
  w: ["Why the last reply", lastWhy],
  "/": ["Search the memory", () => go("memory").then(() => $("query").focus())],
  u: ["Undo the last write (in Memory)", () => current() === "memory" && attempt(undoLast)],
  "?": ["Shortcuts", help],
};

const current = () => (location.hash.slice(1) in VIEWS ? location.hash.slice(1) : "chat");

async function go(name) {
  if (current() !== name) {
    history.pushState(null, "", `#${name}`);
    tell("");
    await show();
  }
}

async function show({ focus = true } = {}) {
  const name = current();
  for (const one of Object.keys(VIEWS)) {
    $(one).hidden = one !== name;
    const link = document.querySelector(`nav a[href="#${one}"]`);
    if (one === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  $("main").scrollTop = 0;
  document.title = `${VIEWS[name].title} · mnemon`;
  if (focus) $(`${name}-title`).focus({ preventScroll: true });
  await attempt(() => VIEWS[name].show());
}

// --- who

async function meet() {
  tell("");
  named();
  for (const view of Object.values(VIEWS)) view.reset(); // also when no other token is given
  const who = await attempt(() => plainGet("/api/whoami"));
  if (!who) return;
  session.user = who.user ?? sessionStorage.getItem(USER) ?? who.default_user ?? "";
  $("who").dataset.bound = who.user ?? "";
  $("who").title = `mnemon ${who.version} · ${who.model}`;
  if (!session.user) await choosePerson();
  named();
  await show({ focus: false });
}

function named() {
  fill($("who"), session.user || "Whose?");
  $("who").setAttribute("aria-label", session.user ? `Whose memory: ${session.user}` : "Whose? Say whose memory it is");
}

async function choosePerson() {
  const bound = $("who").dataset.bound;
  const people = bound ? [bound] : ((await attempt(() => plainGet("/api/users"))) ?? []);
  fill($("people"), people.map((name) => el("option", { value: name })));
  $("who-name").value = session.user;
  $("who-name").readOnly = Boolean(bound);
  $("sign-out").hidden = !session.token;
  const answer = await ask($("who-dialog"));
  if (answer === "out") {
    session.token = session.user = "";
    sessionStorage.removeItem(USER);
    return true;
  }
  if (answer !== "use" || $("who-name").value === session.user) return false;
  session.user = $("who-name").value;
  sessionStorage.setItem(USER, session.user);
  return true;
}

let asking = null; // one question for a token at a time, however many requests were refused

session.wantToken = (refused) => {
  asking ??= (async () => {
    session.token = "";
    fill($("token-why"), refused.message);
    $("token").value = "";
    const answer = await ask($("token-dialog"));
    session.token = answer === "use" ? $("token").value.trim() : "";
    $("token").value = "";
    return Boolean(session.token);
  })().finally(() => (asking = null));
  return asking;
};

// --- keys

function help() {
  const rows = Object.entries(KEYS).flatMap(([key, [what]]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, what)]);
  fill($("keys"), rows, el("dt", {}, el("kbd", {}, "Esc")), el("dd", {}, "Stop the reply; close the reasons"));
  $("keys-on").checked = !localStorage.getItem(KEYS_OFF);
  $("help-dialog").showModal();
}

const typing = (target) => target.matches("input:not([type=range],[type=checkbox]), textarea, select");

document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "Escape") {
    if (writing()) stop();
    else closeWhy();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || localStorage.getItem(KEYS_OFF)) return;
  const key = KEYS[event.key];
  if (!key) return;
  event.preventDefault();
  key[1]();
});

// --- begin

for (const view of Object.values(VIEWS)) view.start();
for (const close of document.querySelectorAll("[data-close]")) {
  close.addEventListener("click", () => close.closest("dialog").close(""));
}
$("help").addEventListener("click", help);
$("keys-on").addEventListener("change", () => {
  if ($("keys-on").checked) localStorage.removeItem(KEYS_OFF);
  else localStorage.setItem(KEYS_OFF, "1");
});
$("who").addEventListener("click", async () => {
  if (!session.user || (await choosePerson())) await meet();
});
window.addEventListener("hashchange", () => {
  tell(""); // it was about the other view
  show();
});
document.addEventListener("mnemon:person", meet);
meet();
