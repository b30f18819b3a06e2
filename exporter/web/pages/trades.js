// The history of trades: filters, pages, a file of them, and new ones as they come.

import { Refusal, ask } from "./api.js";
import { byId, dress, element, follow, lines, row, say } from "./dom.js";
import { DASH, ether, exact, moment, sign } from "./format.js";
import { provenanceMark } from "./provenance.js";

const PAGE = 25;
export const SOURCES = { memory_bank: "memory bank", recent: "recent list", events: "events", chain: "chain" };

export class Trades {
  #rows = [];
  #next = null;
  #before = []; // where each page up to this one begins
  #unseen = 0;
  #asked = 0;
  #fresh = new Map();
  problem = "";
  loaded = false;

  constructor(changed) {
    this.changed = changed;
    const form = byId("filters");
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", () => this.first());
    form.addEventListener("reset", () => setTimeout(() => this.first()));
    byId("older").addEventListener("click", () => this.#turn([...this.#before, this.#next]));
    byId("newer").addEventListener("click", () => this.#turn(this.#before.slice(0, -1)));
  }

  get rows() { return this.#rows; }

  /** The filters as the API's parameters. */
  #wanted() {
    const form = byId("filters");
    const found = new URLSearchParams();
    for (const name of ["source", "pair", "dex", "outcome"]) {
      const value = form.elements[name].value.trim();
      if (value) found.set(name, value);
    }
    for (const name of ["since", "until"]) {
      const value = Date.parse(form.elements[name].value); // local time, as it is shown
      if (Number.isFinite(value)) found.set(name, String(value / 1000));
    }
    return found;
  }

  /** The newest page. */
  first() { return this.#turn([]); }

  async #turn(before) {
    const wanted = this.#wanted();
    const file = new URLSearchParams([...wanted, ["format", "csv"]]);
    byId("csv").href = `api/v1/trades?${file}`;
    const query = new URLSearchParams([...wanted, ["limit", String(PAGE)]]);
    if (before.length) query.set("before", String(before.at(-1)));
    const turn = (this.#asked += 1);
    try {
      const answer = await ask(`trades?${query}`);
      if (turn !== this.#asked) return; // asked for something else meanwhile
      this.#rows = answer.trades;
      this.#next = answer.next;
      this.#before = before;
      this.#unseen = 0;
      this.problem = "";
    } catch (error) {
      if (turn !== this.#asked) return;
      this.#rows = this.#rows.filter((trade) => fits(trade, wanted));
      this.problem = error instanceof Refusal ? error.message : "the exporter does not answer";
    }
    this.loaded = true;
    this.changed();
  }

  /** New trades: shown if this is the newest page and they fit the filters. */
  news(trades) {
    const wanted = this.#wanted();
    const fitting = trades.filter((trade) => !trade.gap && fits(trade, wanted));
    if (this.#before.length) {
      this.#unseen += fitting.length;
    } else if (fitting.length) {
      const known = new Set(this.#rows.map((trade) => trade.id));
      const fresh = fitting.filter((trade) => !known.has(trade.id));
      for (const trade of fresh) this.#fresh.set(trade.id, performance.now());
      this.#rows = [...fresh, ...this.#rows].sort((a, b) => (b.time ?? 0) - (a.time ?? 0) || b.id - a.id);
      if (this.#rows.length > PAGE) {
        this.#rows.length = PAGE;
        this.#next = this.#rows.at(-1).id;
      }
    }
    this.changed();
  }

  draw(provenance) {
    follow(document.querySelector("#trades .scroll tbody"), this.#rows, (trade) => trade.id, () => {
      const made = row("", "", "wide", "n", "n soft wide", "wide");
      made.children[1].append(element("span", "main"), element("span", "sub"), element("span", "sub narrow"));
      made.children[2].append(element("span", "mark"), element("span", "sub"));
      made.children[3].append(element("span", "figure"), element("span", "mark below"));
      made.children[5].append(element("code", "hash"));
      return made;
    }, (made, trade) => this.#show(made, trade, provenance));
    const page = this.#before.length + 1;
    byId("newer").disabled = page === 1;
    byId("older").disabled = this.#next === null;
    say(byId("page"), this.#rows.length ? `page ${page}${this.#unseen ? `, ${this.#unseen} new on the first` : ""}` : "");
  }

  #show(made, trade, provenance) {
    const [time, route, outcome, profit, gas, hash] = made.children;
    const fresh = performance.now() - (this.#fresh.get(trade.id) ?? -Infinity) < 2500;
    dress(made, fresh ? "fresh" : "");
    lines(time, moment(trade.time), SOURCES[trade.source] ?? trade.source, exact(trade.time));
    const reason = (trade.reason ?? "").replaceAll("_", " ");
    const went = trade.outcome === "success" ? "gain" : "loss";
    say(route.children[0], trade.pair);
    say(route.children[1], `${trade.dex_buy} → ${trade.dex_sell}`);
    say(route.children[2], reason ? `${trade.outcome}: ${reason}` : trade.outcome); // on a phone there is no column for it
    dress(route.children[2], `sub narrow ${went}`);
    say(outcome.firstElementChild, trade.outcome);
    dress(outcome.firstElementChild, `mark ${went === "gain" ? "good" : "bad"}`);
    say(outcome.lastElementChild, reason);
    const [figure, mark] = profit.children;
    say(figure, ether(trade.net_profit_eth, true), trade.net_profit_eth ?? "not said by the source");
    dress(figure, `figure ${["loss", "", "gain"][(sign(trade.net_profit_eth) ?? 0) + 1]}`);
    provenanceMark(mark, provenance(trade.source));
    say(gas, ether(trade.gas_cost_eth), trade.gas_cost_eth ?? "not said by the source");
    const code = hash.firstElementChild;
    say(code, trade.tx_hash ? `${trade.tx_hash.slice(0, 8)}…${trade.tx_hash.slice(-4)}` : DASH, trade.tx_hash ?? "");
  }
}

function fits(trade, wanted) {
  const is = (name, ...values) => !wanted.has(name) || values.includes(wanted.get(name));
  return is("source", trade.source) && is("pair", trade.pair) && is("outcome", trade.outcome)
    && is("dex", trade.dex_buy, trade.dex_sell)
    && (!wanted.has("since") || (trade.time ?? -1) >= Number(wanted.get("since")))
    && (!wanted.has("until") || (trade.time ?? Infinity) < Number(wanted.get("until")));
}

/** Suggestions for the filters. */
export function suggest(pairs, dexes) {
  for (const [id, names] of [["known-pairs", pairs], ["known-dexes", dexes]]) {
    follow(byId(id), [...new Set(names)].sort(), (name) => name, (name) => { const made = element("option"); made.value = name; return made; }, () => {});
  }
}

export function drawOpportunities(items, provenance) {
  const body = document.querySelector("#opportunities .scroll tbody");
  follow(body, items, (item) => (item.gap ? `gap ${item.time}` : `${item.source} ${item.id}`), (item) => {
    if (item.gap) {
      const cell = element("td", "soft", "Some were missed while the connection was away.");
      cell.colSpan = 4;
      return element("tr", "", [cell]);
    }
    const made = row("soft", "", "", "n");
    made.children[3].append(element("span", "figure"), element("span", "mark below"));
    return made;
  }, (made, item) => {
    if (item.gap) return;
    const [seen, route, stage, expected] = made.children;
    say(seen, moment(item.seen), exact(item.seen));
    lines(route, item.pair, `${item.dex_buy} → ${item.dex_sell}`);
    say(stage, item.stage);
    say(expected.firstElementChild, ether(item.expected_profit_eth), item.expected_profit_eth ?? "not said by the source");
    provenanceMark(expected.lastElementChild, provenance(item.source));
  });
}
