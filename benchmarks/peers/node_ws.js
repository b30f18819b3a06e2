// Node's `ws`, compression off.
const { WebSocketServer, WebSocket } = require("ws");
const { port, ticking } = require("./words.js");
const server = new WebSocketServer({ host: "127.0.0.1", port, backlog: 4096, perMessageDeflate: false });
server.on("connection", (socket) => socket.on("error", () => {}));
server.on("listening", () => ticking((text) => {
  const data = Buffer.from(text);
  for (const client of server.clients) if (client.readyState === WebSocket.OPEN) client.send(data, { binary: false });
}));
