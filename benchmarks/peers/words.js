// What every peer sends, and its command line: PORT MESSAGES_PER_SECOND MORE_BYTES.
const [port, rate, more] = [Number(process.argv[2]), Number(process.argv[3]), "x".repeat(Number(process.argv[4]))];
const text = (seq) => `{"type":"update","topic":"prices","seq":${seq},"prev":${seq - 1},` +
  `"ts":${((performance.timeOrigin + performance.now()) / 1000).toFixed(6)},"data":` +
  `[{"pair":"WETH/USDC","dex":"aerodrome","pool":"aerodrome-3000","price":"3003.42${more}"}]}`;
function ticking(tick) {
  console.log("ready");
  let seq = 0, due = performance.now();
  const turn = () => {
    tick(text(++seq));
    due += 1000 / rate;
    if (due < performance.now() - 1000 / rate) due = performance.now();
    setTimeout(turn, due - performance.now());
  };
  turn();
}
module.exports = { port, ticking };
