// Prices per pair and pool, and what each pair's best route would bring.

import { byId, dress, element, follow, row, say } from "./dom.js";
import { DASH, ago, exact, magnitude, percent, price } from "./format.js";

const FLASH = 900; // milliseconds that a change is marked

/** The first moves of prices: which way each went, and when. */
const moves = new Map();

/** Note which way a price went. */
export function noteMove(before, item) {
  if (!before || item.gone || before.price === item.price) return;
  moves.set(`${item.pair} ${item.dex} ${item.pool}`, { up: Number(item.price) > Number(before.price), at: performance.now() });
}

/** Whether some mark is still to be taken away. */
export const marksAreLeft = () => [...moves.values()].some(({ at }) => performance.now() - at < FLASH + 200);

const byName = (a, b) => a.pair.localeCompare(b.pair) || a.pool.localeCompare(b.pool);

export function drawPrices(items, time) {
  const body = document.querySelector("#prices .scroll tbody");
  const sorted = [...items].sort(byName);
  follow(body, sorted, (item) => `${item.pair} ${item.dex} ${item.pool}`, () => {
    const made = row("pair", "pool wide", "n price", "n soft wide", "n soft wide", "n soft");
    made.children[0].append(element("span", "main"), element("span", "sub narrow"));
    made.children[1].append(element("span", "main"), element("span", "sub"));
    made.children[2].append(element("span", "arrow"), element("span", "figure"));
    made.children[2].firstElementChild.setAttribute("aria-hidden", "true");
    return made;
  }, (made, item) => {
    const [pair, pool, value, liquidity, block, changed] = made.children;
    say(pair.firstElementChild, item.pair);
    say(pair.lastElementChild, item.pool);
    say(pool.firstElementChild, item.pool, item.address ?? "");
    say(pool.lastElementChild, item.dex);
    const move = moves.get(`${item.pair} ${item.dex} ${item.pool}`);
    const fresh = move && performance.now() - move.at < FLASH;
    dress(value, `n price${fresh ? (move.up ? " up" : " down") : ""}`);
    say(value.firstElementChild, move ? (move.up ? "▲" : "▼") : "");
    say(value.lastElementChild, price(item.price), item.price);
    say(liquidity, magnitude(item.liquidity), item.liquidity ?? "");
    say(block, item.block ?? DASH);
    say(changed, item.ts ? ago(time - item.ts) : DASH, exact(item.ts));
  });
}

/** The pairs there are, in order. */
export const pairsOf = (items) => [...new Set(items.map((item) => item.pair))].sort();

/** Keep the chart's choice of pairs; gives the chosen one. */
export function choosePair(pairs) {
  const select = byId("chart-pair");
  const had = select.value;
  follow(select, pairs, (pair) => pair, (pair) => { const made = element("option", "", pair); made.value = pair; return made; }, () => {});
  if (had && pairs.includes(had)) select.value = had;
  return select.value;
}

/** The best route of each pair: what buying in one pool and selling in another leaves after both pools' fees. */
export function routes(items, fees) {
  const found = [];
  for (const pair of pairsOf(items)) {
    const pools = items.filter((item) => item.pair === pair && Number(item.price) > 0);
    let best = null;
    for (const buy of pools) {
      for (const sell of pools) {
        if (buy === sell) continue;
        const spread = Number(sell.price) / Number(buy.price) - 1;
        const known = fees.has(buy.address) && fees.has(sell.address);
        const left = known ? (1 + spread) * (1 - fees.get(buy.address)) * (1 - fees.get(sell.address)) - 1 : NaN;
        const value = known ? left : spread - 1;
        if (!best || value > best.value) best = { pair, buy, sell, spread, left, value };
      }
    }
    if (best) found.push(best);
  }
  return found;
}

export function drawSpreads(items, fees) {
  const body = document.querySelector("#spreads .scroll tbody");
  follow(body, routes(items, fees), (item) => item.pair, () => {
    const made = row("pair", "n", "n", "");
    made.firstElementChild.append(element("span", "main"), element("span", "sub"));
    made.lastElementChild.append(element("span", "mark"));
    return made;
  }, (made, { pair, buy, sell, spread, left }) => {
    say(made.children[0].firstElementChild, pair);
    say(made.children[0].lastElementChild, `${buy.pool} → ${sell.pool}`, "Buy at the first, sell at the second");
    say(made.children[1], percent(spread));
    say(made.children[2], percent(left));
    const pays = Number.isFinite(left) ? left > 0 : null;
    const mark = made.children[3].firstElementChild;
    say(mark, pays === null ? "fees unknown" : pays ? "pays" : "no", "After the pools' fees; before gas and slippage");
    dress(mark, `mark ${pays ? "good" : ""}`);
  });
}

