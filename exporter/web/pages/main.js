// The live page: what comes over the feed, and which part of the page it changes.

import { ask } from "./api.js";
import { Chart } from "./chart.js";
import { byId, element, follow, say } from "./dom.js";
import { Feed } from "./feed.js";
import { milliseconds } from "./format.js";
import { allChanged, changed, part } from "./frames.js";
import { drawGas, drawHealth, drawPortfolio, drawStores } from "./machine.js";
import { drawAlerts, drawErrors } from "./notices.js";
import { choosePair, drawPrices, drawSpreads, marksAreLeft, noteMove, pairsOf } from "./prices.js";
import { lookup } from "./provenance.js";
import { State } from "./state.js";
import { Trades, drawOpportunities, suggest } from "./trades.js";

const STATUS_EVERY = 10000;
const AWAY = 1500; // milliseconds without a connection after which what is shown counts as old
const PARTS = {
  prices: ["prices", "spreads", "chart"], portfolio: ["portfolio"], gas: ["gas"], system: ["health", "empty"],
  storage: ["stores"], memory_bank: ["stores"], opportunities: ["opportunities"], trades: ["trades"],
  errors: ["errors"], alerts: ["alerts"],
};

const state = new State();
const feed = new Feed();
const chart = new Chart();
const trades = new Trades(() => changed("trades", "empty"));
const fees = new Map(); // of pools, as ratios, by address
let status = null;
let away = performance.now();
let stale = false;
let feesAsked = 0;

// --- what comes ----------------------------------------------------------------------------------------------------

feed.addEventListener("news", ({ detail: message }) => {
  const { topic, type } = message;
  if (topic === "prices") notePrices(message);
  const news = state.take(message);
  if (topic === "trades" && type === "update") trades.news(news);
  changed(...(PARTS[topic] ?? []), ...(type === "snapshot" ? ["empty"] : []));
});

function notePrices({ type, ts, data }) {
  const before = new Map(state.items("prices").map((item) => [`${item.pair} ${item.dex} ${item.pool}`, item]));
  for (const item of data) {
    if (type === "update") noteMove(before.get(`${item.pair} ${item.dex} ${item.pool}`), item);
    chart.put(item, type === "update" ? (item.ts ?? ts) : feed.serverTime);
    if (!item.gone && !fees.has(item.address)) askFees();
  }
}

feed.addEventListener("gap", ({ detail: topic }) => {
  state.gap(topic);
  if (topic === "trades") trades.first();
  if (topic === "opportunities") askOpportunities();
  changed(...(PARTS[topic] ?? []));
});

feed.addEventListener("state", () => {
  if (feed.state === "live") {
    away = 0;
    askStatus();
    if (trades.problem) trades.first();
  }
  else if (!away) { away = performance.now(); chart.break(feed.serverTime); }
  changed("link");
});

feed.addEventListener("latency", () => changed("link"));

// --- what is asked for ---------------------------------------------------------------------------------------------

async function askStatus() {
  status = await ask("status").catch(() => null) ?? status;
  changed("health", "status", "empty", "trades", "opportunities");
}

async function askFees() {
  if (performance.now() - feesAsked < 5000 && feesAsked) return;
  feesAsked = performance.now();
  let next = null;
  do {
    const answer = await ask(`pools?limit=1000${next ? `&before=${next}` : ""}`).catch(() => null);
    for (const pool of answer?.pools ?? []) if (Number.isFinite(pool.fee_ratio)) fees.set(pool.address, pool.fee_ratio);
    next = answer?.next ?? null;
  } while (next !== null);
  changed("spreads");
}

async function askOpportunities() {
  const answer = await ask("opportunities?limit=50").catch(() => null);
  if (answer) state.older("opportunities", answer.opportunities);
  changed("opportunities", "empty");
}

async function askAlerts() {
  const answer = await ask("alerts?limit=100").catch(() => null);
  if (answer) state.older("alerts", answer.alerts);
  changed("alerts", "empty");
}

// --- what is drawn -------------------------------------------------------------------------------------------------

const provenance = (source) => lookup(status?.provenance)(source);

part("prices", () => {
  const items = state.items("prices");
  drawPrices(items, feed.serverTime);
  suggest(pairsOf(items), items.map((item) => item.dex));
  if (marksAreLeft()) setTimeout(() => changed("prices"), 300);
});
part("chart", () => chart.draw(choosePair(pairsOf(state.items("prices"))), stale || feed.state !== "live" ? null : feed.serverTime));
part("spreads", () => drawSpreads(state.items("prices"), fees));
part("opportunities", () => drawOpportunities(state.events.opportunities.slice(0, 100), provenance));
part("trades", () => trades.draw(provenance));
part("portfolio", () => drawPortfolio(state.items("portfolio")));
part("gas", () => drawGas(state.one("gas")));
part("stores", () => drawStores(state.items("memory_bank"), state.items("storage"), feed.serverTime));
part("health", () => drawHealth(state.one("system"), status, feed.serverTime));
part("alerts", () => drawAlerts(state.events.alerts));
part("errors", () => drawErrors(state.events.errors));
part("status", () => {
  say(byId("bot"), status ? `· ${status.bot}` : "");
  say(byId("version"), status?.version ?? "");
  const missing = [...new Set(Object.values(status?.not_configured ?? {}))];
  byId("missing-head").hidden = !missing.length;
  follow(byId("missing"), missing, (words) => words, (words) => element("li", "", words), () => {});
});
part("link", drawLink);
part("empty", drawEmpty);

function drawLink() {
  const now = performance.now();
  stale = feed.state === "live" ? feed.silent : now - away > AWAY;
  const silence = Math.round((now - feed.heard) / 1000);
  const wait = Math.max(0, Math.ceil((feed.retryAt - now) / 1000));
  const words = { live: stale ? "silent" : "live", connecting: "connecting", waiting: wait ? `again in ${wait} s` : "connecting" }[feed.state];
  document.body.dataset.feed = feed.state === "live" && !stale ? "live" : feed.state === "live" ? "silent" : "away";
  document.body.classList.toggle("stale", stale);
  say(byId("link-text"), words);
  say(byId("age-of-news"), stale ? "–" : milliseconds(feed.ageOfNews));
  say(byId("round-trip"), stale ? "–" : milliseconds(feed.roundTrip));
  byId("stale").hidden = !stale;
  const old = Number.isFinite(feed.heard) && state.known.size ? `Not live: what is shown is ${silence} s old` : "Not live: nothing has been heard yet";
  say(byId("stale"), `${old}. ${feed.reason ? `${feed.reason[0].toUpperCase()}${feed.reason.slice(1)}.` : ""}`);
}

const FIRST_STEPS = {
  prices: "No price is known. Name pools under chain.pools, with a node under chain.endpoints.",
  spreads: "A spread needs one pair at two pools or more.",
  opportunities: "No opportunity is known. They come from the bot's memory bank (bot.memory_bank) and its events.",
  trades: "No trade fits, or none is known. They come from the bot's memory bank (bot.memory_bank), its events and the chain.",
  portfolio: "No balance is known. Name wallets under chain.wallets, with a node under chain.endpoints.",
  gas: "Gas is not known. Name a node under chain.endpoints.",
  stores: "No directory is watched. Set bot.memory_bank, or name directories under storage.",
  health: "Nothing is known of the components yet.",
  alerts: "No alert has come. Point an Alertmanager webhook at /api/v1/alerts.",
  errors: "No error since the exporter started.",
};

/** Why a part is empty, and what would fill it; and whether what feeds it fails. */
function drawEmpty() {
  for (const [id, words] of Object.entries(FIRST_STEPS)) {
    const section = byId(id);
    const note = section.querySelector(".empty");
    const rows = id === "gas" ? state.items("gas").length : section.querySelectorAll(".scroll tbody tr, .notices li").length;
    const names = (section.dataset.collector ?? "").split(" ").filter(Boolean);
    const collectors = state.one("system")?.collectors ?? status?.collectors ?? {};
    const failing = names.filter((name) => collectors[name]?.success === false);
    const reason = id === "trades" && trades.problem ? `Trades cannot be shown: ${trades.problem}.` : failing.length
      ? `${failing.join(" and ").replaceAll("_", " ")} cannot be read now: ${collectors[failing[0]].error ?? "no reason given"}.`
      : rows ? "" : pending(id, names, collectors) ?? words;
    section.classList.toggle("bare", !rows);
    section.classList.toggle("failing", failing.length > 0 || (id === "trades" && trades.problem !== ""));
    say(note, reason);
    note.hidden = !reason;
    const box = section.querySelector(".scroll");
    if (box) box.hidden = !rows;
  }
}

function pending(id, names, collectors) {
  if (id === "errors" || id === "alerts") return state.known.has(id) ? null : "Not heard yet.";
  if (!state.known.size) return "Not heard yet.";
  if (id === "trades" && !trades.loaded) return "Being read.";
  return names.some((name) => name in collectors && collectors[name].success === null) ? "Being read for the first time." : null;
}

// --- and off it goes -----------------------------------------------------------------------------------------------

byId("chart-pair").addEventListener("change", () => changed("chart"));
document.addEventListener("themechange", () => changed("chart"));
setInterval(() => { allChanged(); }, 1000);
setInterval(() => { if (document.visibilityState === "visible" && feed.state === "live") askStatus(); }, STATUS_EVERY);
setInterval(() => { if (feed.state === "live") { changed("chart"); } }, 250);

chart.load().then(() => changed("chart"));
trades.first();
askOpportunities();
askAlerts();
feed.start();
