// Drawing: however often something changes, each part is drawn at most once per frame of the screen.

const parts = new Map();
const due = new Set();
let asked = false;
let last = -Infinity;
const SHORTEST = 1000 / 60 - 1; // on screens that would draw more often than 60 times a second

/** How a part is drawn. */
export function part(name, draw) {
  parts.set(name, draw);
  changed(name);
}

/** Some parts need drawing. */
export function changed(...names) {
  for (const name of names) due.add(name);
  if (!asked && due.size) { asked = true; requestAnimationFrame(frame); }
}

function frame(now) {
  if (now - last < SHORTEST) { requestAnimationFrame(frame); return; }
  asked = false;
  last = now;
  const names = [...due];
  due.clear();
  for (const name of names) parts.get(name)?.();
}

/** Everything needs drawing: ages have grown, or the page has become stale. */
export const allChanged = () => changed(...parts.keys());
