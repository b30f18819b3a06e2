// Making and changing elements: words only ever go in as text.

/** An element with a class, a text or children. */
export function element(tag, className = "", content = null) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (Array.isArray(content)) made.append(...content);
  else if (content !== null) made.textContent = content;
  return made;
}

export const byId = (id) => document.getElementById(id);

/** Change a node's text only if it is another one: what stays the same costs no layout. */
export function say(node, text, title = null) {
  const words = text === null || text === undefined ? "" : String(text);
  if (node.textContent !== words) node.textContent = words;
  if (title !== null && node.title !== title) node.title = title;
}

/** Set a class list as one text. */
export function dress(node, className) {
  if (node.className !== className) node.className = className;
}

/**
 * Make the children of `parent` follow `items`, each known by its key, in their order.
 * `make(item)` gives a new element, `show(element, item)` brings it up to date.
 */
export function follow(parent, items, keyOf, make, show) {
  const known = parent.known ?? (parent.known = new Map());
  const wanted = new Set();
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    if (wanted.has(key)) continue;
    wanted.add(key);
    let node = known.get(key);
    if (!node) known.set(key, (node = make(item)));
    show(node, item);
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
  }
  for (const [key, node] of known) {
    if (!wanted.has(key)) { node.remove(); known.delete(key); }
  }
}

/** A table row of empty cells with these classes. */
export function row(...classes) {
  return element("tr", "", classes.map((name) => element("td", name)));
}

/** A cell's two lines: what matters, and below it what explains. */
export function lines(cell, first, second, title = null) {
  if (cell.childElementCount !== 2) cell.replaceChildren(element("span", "main"), element("span", "sub"));
  say(cell.firstElementChild, first, title);
  say(cell.lastElementChild, second);
}

/** A list of names and figures. */
export function facts(list, items) {
  follow(
    list, items, (item) => item[0],
    ([name]) => element("div", "", [element("dt", "", name), element("dd")]),
    (node, [, value, title = "", kind = ""]) => { say(node.lastElementChild, value, title); dress(node.lastElementChild, kind); },
  );
}
