// The little Markdown that replies use, as elements: paragraphs, headings, lists, quotes, code, emphasis.
// Links stay text: a reply must not be able to lead anywhere by a click. HTML stays text, too.

import { el } from "./dom.js";

const FENCE = /^\s*(```|~~~)/;
const HEADING = /^(#{1,6})\s+(.*)$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const QUOTE = /^\s*>\s?(.*)$/;
const INLINE = /(`+)(.+?)\1(?!`)|\*\*(?=\S)(.+?)\*\*|\*(?=\S)([^*]+?)\*|(?<![\w_])_(?=\S)([^_]+?)_(?!\w)|\[(m\d+)\]/su;

export function markdown(text) {
  return blocks(text.replaceAll("\r\n", "\n").split("\n"), 0);
}

function blocks(lines, depth) {
  const made = [];
  let paragraph = [];
  const close = () => {
    if (paragraph.length) made.push(el("p", {}, broken(paragraph)));
    paragraph = [];
  };
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at];
    const fence = FENCE.exec(line);
    const heading = HEADING.exec(line);
    if (fence) {
      close();
      let end = at + 1;
      while (end < lines.length && !lines[end].trim().startsWith(fence[1])) end++;
      made.push(el("pre", { tabindex: 0 }, el("code", {}, lines.slice(at + 1, end).join("\n"))));
      at = end;
    } else if (heading) {
      close();
      made.push(el("p", { class: "heading" }, ...inline(heading[2]))); // the page's own headings stay its own
    } else if (ITEM.test(line) && depth < 8) {
      close();
      const [list, next] = listFrom(lines, at, depth);
      made.push(list);
      at = next - 1;
    } else if (QUOTE.test(line) && depth < 8) {
      close();
      let end = at;
      while (end < lines.length && QUOTE.test(lines[end])) end++;
      const quoted = lines.slice(at, end).map((one) => QUOTE.exec(one)[1]);
      made.push(el("blockquote", {}, ...blocks(quoted, depth + 1)));
      at = end - 1;
    } else if (!line.trim()) {
      close();
    } else {
      paragraph.push(line.trim());
    }
  }
  close();
  return made;
}

function listFrom(lines, start, depth) {
  const [, indent, bullet] = ITEM.exec(lines[start]);
  const ordered = /\d/.test(bullet);
  const list = ordered ? el("ol", { start: Number.parseInt(bullet, 10) }) : el("ul");
  let at = start;
  while (at < lines.length) {
    const item = ITEM.exec(lines[at]);
    if (!item || item[1].length < indent.length || /\d/.test(item[2]) !== ordered) break;
    const inside = [];
    let end = at + 1;
    while (end < lines.length && lines[end].trim() && deeper(lines[end], indent)) inside.push(lines[end++]);
    list.append(el("li", {}, ...inline(item[3]), ...blocks(unindented(inside), depth + 1)));
    at = end;
  }
  return [list, at];
}

const deeper = (line, indent) => line.length - line.trimStart().length > indent.length;

function unindented(lines) {
  const least = Math.min(...lines.map((line) => line.length - line.trimStart().length));
  return lines.map((line) => line.slice(least));
}

const broken = (lines) => lines.flatMap((line, at) => (at ? [el("br"), ...inline(line)] : inline(line)));

function inline(text) {
  const made = [];
  let rest = text;
  for (let found = INLINE.exec(rest); found; found = INLINE.exec(rest)) {
    if (found.index) made.push(rest.slice(0, found.index));
    const [whole, , code, strong, star, under, mark] = found;
    if (code !== undefined) made.push(el("code", {}, code));
    else if (strong !== undefined) made.push(el("strong", {}, ...inline(strong)));
    else if (mark !== undefined) made.push(el("span", { class: "mark" }, mark));
    else made.push(el("em", {}, ...inline(star ?? under)));
    rest = rest.slice(found.index + whole.length);
  }
  if (rest) made.push(rest);
  return made;
}
