// Requests: whose memory, with which token, and what the server says when it refuses. Knows no element.

export class Refused extends Error {
  constructor(status, body) {
    const told = body?.error ?? {};
    const hint = told.hint ?? "";
    const message = told.message ?? `The server answered ${status}.`;
    super(hint && message.endsWith(hint) ? message.slice(0, -hint.length).trim() : message); // it may end with it
    this.hint = hint;
    this.status = status;
    this.code = told.code ?? "";
  }
}

const TOKEN = "mnemon.token"; // in sessionStorage: gone with the tab

export const session = {
  user: "",
  get token() {
    return sessionStorage.getItem(TOKEN) ?? "";
  },
  set token(value) {
    if (value) sessionStorage.setItem(TOKEN, value);
    else sessionStorage.removeItem(TOKEN);
  },
  /** Set by the page: asks for a token, and answers whether one was given. */
  wantToken: async () => false,
};

async function send(path, { method = "GET", query = {}, body, raw, signal } = {}) {
  const url = new URL(path, location.origin);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, value);
  }
  const headers = {};
  if (session.token) headers.Authorization = `Bearer ${session.token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(url, { method, headers, body: raw ?? (body && JSON.stringify(body)), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is `mnemon serve` still running?");
  }
  if (answer.ok) return answer;
  const refused = new Refused(answer.status, await answer.json().catch(() => null));
  if (answer.status === 401 && (await session.wantToken(refused))) {
    return send(path, { method, query, body, raw, signal });
  }
  throw refused;
}

const about = (query) => ({ user: session.user, ...query });

export const plainGet = async (path) => (await send(path)).json();
export const get = async (path, query) => (await send(path, { query: about(query) })).json();
export const post = async (path, body = {}) =>
  (await send(path, { method: "POST", query: about(), body })).json();
export const put = async (path, body) => (await send(path, { method: "PUT", query: about(), body })).json();
export const remove = async (path, query) =>
  (await send(path, { method: "DELETE", query: about(query) })).json();
export const download = async (path) => (await send(path, { query: about() })).blob();
export const upload = async (path, file) =>
  (await send(path, { method: "POST", query: about(), raw: file })).json();

/**
 * A reply as it is written: `onPiece(text)` for each piece, `onEvent(happened)` for what else happens. Resolves
 * to what the server says of the whole reply (`thread`, `reply_id`, and, with `explain`, what it rests on).
 */
export async function reply(asked, { onPiece, onEvent = () => {}, signal }) {
  const body = { stream: true, user: session.user, ...asked };
  const answer = await send("/v1/chat/completions", { method: "POST", body, signal });
  let told = null;
  for await (const chunk of events(answer.body)) {
    if (chunk.error) throw new Refused(500, chunk);
    const choice = chunk.choices?.[0];
    if (choice?.delta?.content) onPiece(choice.delta.content);
    if (choice?.finish_reason) told = { finish: choice.finish_reason, ...chunk.mnemon };
    else if (chunk.mnemon) onEvent(chunk.mnemon);
  }
  if (!told) throw new Error("The reply broke off. What was said is kept; ask again.");
  return told;
}

async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      if (part.startsWith("data: ") && part !== "data: [DONE]") yield JSON.parse(part.slice(6));
    }
  }
}
