// Balances, gas, files and how everything fares.

import { byId, dress, element, facts, follow, row, say } from "./dom.js";
import { DASH, ago, bytes, count, decimal, exact, gwei, percent } from "./format.js";

export function drawPortfolio(items) {
  const sorted = [...items].sort((a, b) => a.wallet.localeCompare(b.wallet) || (b.token === "ETH") - (a.token === "ETH") || a.token.localeCompare(b.token));
  follow(document.querySelector("#portfolio .scroll tbody"), sorted, (item) => `${item.wallet} ${item.token}`, () => row("", "", "n", "n soft"), (made, item) => {
    const [wallet, token, balance, pending] = made.children;
    say(wallet, item.wallet);
    say(token, item.token);
    say(balance, decimal(item.balance, 6, 2), item.balance ?? "");
    say(pending, item.pending_transactions ?? "", item.nonce === undefined || item.nonce === null ? "" : `nonce ${item.nonce}`);
  });
}

export function drawGas(gas) {
  byId("gas-facts").hidden = !gas;
  if (!gas) return;
  const l1 = (name, wei) => (wei === null || wei === undefined ? [] : [[name, `${gwei(wei)} gwei`, `${wei} wei`]]);
  const tips = Object.entries(gas.priority_fee_wei ?? {}).map(([percentile, wei]) => [`tip, ${percentile} %`, `${gwei(wei)} gwei`, `${wei} wei`]);
  facts(byId("gas-facts"), [
    ["base fee", `${gwei(gas.base_fee_wei)} gwei`, `${gas.base_fee_wei} wei`],
    ["next block", `${gwei(gas.next_base_fee_wei)} gwei`, `${gas.next_base_fee_wei} wei`],
    ...tips,
    ["blocks full", percent(gas.block_used_ratio, 1)],
    ...l1("L1 base fee", gas.l1_base_fee_wei),
    ...l1("L1 blob fee", gas.l1_blob_base_fee_wei),
    ["head", gas.head_block === null ? DASH : count(gas.head_block)],
    ["final", gas.finalized_block === null ? DASH : count(gas.finalized_block)],
  ]);
}

const bankFirst = (items, stores) => [
  ...items.filter((item) => item.directory !== ".").map((item) => ({ ...item, name: `bank / ${item.directory}` })),
  ...stores.map((item) => ({ ...item, name: item.store })),
];

export function drawStores(bank, stores, time) {
  const whole = bank.find((item) => item.directory === ".");
  const mark = byId("bank-state");
  say(mark, whole ? (whole.up ? "bank is there" : "bank is away") : "");
  dress(mark, `mark ${whole ? (whole.up ? "good" : "bad") : ""}`);
  follow(document.querySelector("#stores .scroll tbody"), bankFirst(bank, stores), (item) => item.name, () => row("", "n", "n", "n soft"), (made, item) => {
    const [name, files, size, written] = made.children;
    say(name, item.name);
    say(files, item.up === false ? "away" : `${count(item.files)}${item.truncated ? "+" : ""}`, item.backups?.count === undefined ? "" : `${item.backups.count} backups`);
    say(size, item.up === false ? DASH : bytes(item.bytes), Number.isFinite(item.bytes) ? `${item.bytes} bytes` : "");
    say(written, item.last_write ? ago(time - item.last_write) : DASH, exact(item.last_write));
  });
  const faults = [
    ...(whole?.invalid_files ?? []).filter((fault) => fault.count > 0).map((fault) => `${count(fault.count)} × ${fault.kind}: ${fault.reason.replaceAll("_", " ")}`),
    ...(whole?.documents ?? []).filter((document) => document.valid === false).map((document) => `${document.directory} / ${document.document} is not valid`),
  ];
  follow(byId("bank-faults"), faults, (words) => words, (words) => element("li", "", words), () => {});
}

const STATES = { true: ["works", "good"], false: ["fails", "bad"], null: ["not read yet", "wait"] };

/** Components: the collectors, and the nodes they ask. */
export function drawHealth(system, status, time) {
  const told = status?.collectors ?? {};
  const collectors = system?.collectors ?? told;
  const nodes = Object.entries(system?.endpoints ?? {}).map(([name, { up, active }]) => ({
    key: `node ${name}`, name: `node ${name}`, success: up, words: up ? (active ? "in use" : "stands by") : "does not answer",
  }));
  const parts = Object.entries(collectors).map(([name, { success, error }]) => ({
    key: name, name: name.replaceAll("_", " "), success, words: error ?? "", read: told[name]?.last_success, first: told[name]?.first_read,
  }));
  const worst = (part) => (part.success === false ? 0 : part.success === null ? 1 : 2);
  const sorted = [...nodes, ...parts].sort((a, b) => worst(a) - worst(b));
  follow(document.querySelector("#health .scroll tbody"), sorted, (part) => part.key, () => {
    const made = row("", "", "n soft wide");
    made.children[1].append(element("span", "mark"), element("span", "sub"));
    return made;
  }, (made, part) => {
    const [words, kind] = STATES[String(part.success ?? null)];
    say(made.children[0], part.name);
    say(made.children[1].firstElementChild, words);
    dress(made.children[1].firstElementChild, `mark ${kind}`);
    say(made.children[1].lastElementChild, part.first ? `first read, ${count(part.first.done)} of ${count(part.first.total)}` : part.words);
    say(made.children[2], part.read ? ago(time - part.read) : "", exact(part.read));
  });
  const failing = sorted.filter((part) => part.success === false).length;
  say(byId("health-about"), sorted.length ? (failing ? `${failing} of ${sorted.length} fail` : `all ${sorted.length} work`) : "");
  drawMachine(system, time);
}

function drawMachine(system, time) {
  const { host, process, exporter } = system ?? {};
  const items = [];
  if (process) {
    items.push(["bot process", process.up ? "runs" : "does not run", "", process.up ? "gain" : "loss"]);
    if (process.up) items.push(["bot memory", bytes(process.resident_memory_bytes)]);
  }
  if (host) {
    items.push(["CPU", host.cpu_usage_ratio === null ? DASH : percent(host.cpu_usage_ratio, 0)]);
    items.push(["memory", `${bytes(host.memory_used_bytes)} of ${bytes(host.memory_total_bytes)}`]);
  }
  if (exporter) {
    items.push(["exporter", bytes(exporter.resident_bytes), `up since ${exact(exporter.start_timestamp_seconds)}`]);
    items.push(["ledger", exporter.ledger_degraded ? "degraded" : "durable", "", exporter.ledger_degraded ? "loss" : ""]);
    items.push(["running since", ago(time - exporter.start_timestamp_seconds).replace(" ago", "")]);
  }
  facts(byId("machine"), items);
}

