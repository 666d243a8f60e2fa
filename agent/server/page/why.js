// What a reply rests on: memories, traits, and what steering did token by token.

import { el, fill, plural, signed, when } from "./dom.js";

const STEPS = [0.01, 0.05, 0.2, 0.5]; // nats of KL from which a token is shaded one step darker

export const shade = (kl) => STEPS.filter((from) => kl >= from).length;

export function explained(told) {
  return [
    el("h3", {}, "Memories"),
    memories(told.memories ?? [], new Set(told.citations ?? [])),
    el("h3", {}, "Traits"),
    traits(told.traits ?? []),
    el("h3", {}, "Steering"),
    ...steering(told.trace),
    ...(told.notes ?? []).map((note) => el("p", { class: "note" }, note)),
  ];
}

function memories(found, cited) {
  if (!found.length) return el("p", { class: "faint" }, "No memory was used for this reply.");
  const best = Math.max(...found.map((one) => one.score), 1e-9);
  return el(
    "ol",
    { class: "plain" },
    [...found].sort((one, other) => other.score - one.score).map((one) =>
      el(
        "li",
        { class: "card" },
        el("p", {}, el("span", { class: "mark" }, one.mark), " ", one.text),
        el(
          "p",
          { class: "faint" },
          when(one.time),
          ` · ${one.speaker} · ${one.form} · score ${one.score.toFixed(3)}${cited.has(one.mark) ? " · cited" : ""}`,
        ),
        el("meter", { min: 0, max: best, value: Math.max(0, one.score), "aria-label": `Score of ${one.mark}` }),
      ),
    ),
  );
}

function traits(leanings) {
  if (!leanings.length) return el("p", { class: "faint" }, "Nothing is known yet of how this person likes it.");
  return el(
    "ul",
    { class: "plain" },
    leanings.map((one) =>
      el(
        "li",
        { class: "card" },
        el("p", {}, el("strong", {}, one.trait), ` ${signed(one.weight)}`, one.when ? ` when ${one.when}` : ""),
        el("p", { class: "faint" }, `${one.origin} · sure ${one.confidence.toFixed(2)}`),
        one.quote ? el("p", { class: "quote" }, `“${one.quote}”`) : null,
      ),
    ),
  );
}

function steering(trace) {
  if (!trace) {
    const why = "Of this reply there is no account token by token: the model was not steered, or was ended early.";
    return [el("p", { class: "faint" }, why)];
  }
  const lams = trace.tokens.map((token) => token.lam);
  const most = lams.length ? `, λ ${Math.min(...lams).toFixed(2)} to ${Math.max(...lams).toFixed(2)}` : "";
  const counted = `${plural(trace.tokens.length, "token")}, ${trace.changed} changed, KL ${trace.kl.toFixed(2)} nats in all${most}`;
  const detail = el("div", { class: "token-detail", role: "status" }, "Choose a token: point at it, or use ← and →.");
  return [el("p", {}, counted), legend(), tokens(trace.tokens, detail), detail, shares(trace.shares)];
}

function legend() {
  const steps = [0, 1, 2, 3, 4].map((step) =>
    el("span", { class: `token kl-${step}` }, step ? `≥ ${STEPS[step - 1]}` : `< ${STEPS[0]}`),
  );
  return el(
    "p",
    { class: "legend faint" },
    "KL in nats: ",
    ...steps,
    " ",
    el("span", { class: "token changed" }, "underlined"),
    ": steering chose another token",
  );
}

/** The reply's tokens. One stop for the keyboard; the arrows go from token to token. */
function tokens(all, detail) {
  const spans = all.map((token) =>
    el("span", { class: `token kl-${shade(token.kl)}${token.changed ? " changed" : ""}` }, token.text),
  );
  const text = el("p", { class: "tokens", tabindex: 0, role: "application", "aria-label": "The reply, token by token" });
  text.append(...spans);
  let at = -1;
  const choose = (next) => {
    if (next < 0 || next >= spans.length) return;
    spans[at]?.classList.remove("chosen");
    at = next;
    spans[at].classList.add("chosen");
    fill(detail, ...details(all[at]));
  };
  const chosenBy = (event) => choose(spans.indexOf(event.target));
  text.addEventListener("pointerover", chosenBy);
  text.addEventListener("click", chosenBy);
  text.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -spans.length, End: spans.length }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    choose(Math.min(Math.max(at + step, 0), spans.length - 1));
  });
  return text;
}

function details(token) {
  const parts = Object.entries(token.contributions).sort((one, other) => Math.abs(other[1]) - Math.abs(one[1]));
  const share = (probability) => `${(100 * probability).toFixed(1)} %`;
  return [
    el("p", {}, el("code", {}, JSON.stringify(token.text)), ` λ ${token.lam.toFixed(2)} · KL ${token.kl.toFixed(3)}`),
    el(
      "p",
      { class: "faint" },
      `probability ${share(token.base_probability)} → ${share(token.steered_probability)}`,
      token.changed ? ` · instead of ${JSON.stringify(token.instead_of)}` : "",
      token.note ? ` · ${token.note}` : "",
    ),
    parts.length
      ? el("p", { class: "faint" }, parts.slice(0, 4).map(([name, value]) => `${name} ${signed(value)}`).join(" · "))
      : null,
  ].filter(Boolean);
}

function shares(found) {
  const largest = Object.entries(found ?? {}).sort((one, other) => other[1] - one[1]);
  if (!largest.length) return el("p", { class: "faint" }, "No trait weighed in.");
  return el(
    "ul",
    { class: "plain shares" },
    largest.map(([name, share]) =>
      el("li", {}, `${name} `, el("meter", { min: 0, max: 1, value: share, "aria-label": `Share of ${name}` }), ` ${Math.round(100 * share)} %`),
    ),
  );
}
