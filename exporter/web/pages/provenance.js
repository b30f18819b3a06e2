// Whether money that is shown was found on the chain, is known to be made up, or is only the source's word.

import { dress, say } from "./dom.js";

const WORDS = {
  real: "Found on the chain",
  simulated: "Known to be made up: a simulation or a sample",
  unverified: "The source's own word: nobody has compared it with the chain",
};

/** A lookup by source; what is read from the chain is real, and what nobody has vouched for is not. */
export const lookup = (told) => (source) => told?.[source] ?? (source === "chain" ? "real" : "unverified");

export function provenanceMark(node, provenance) {
  say(node, provenance, WORDS[provenance] ?? "");
  dress(node, `mark below ${provenance in WORDS ? provenance : ""}`);
}
