// uWebSockets (C++) from Node: its own publish to a topic.
const uws = require("@btc-vision/uwebsockets.js");
const { port, ticking } = require("./words.js");
const app = uws.App().ws("/*", { compression: uws.DISABLED, idleTimeout: 0, open: (socket) => socket.subscribe("prices") });
app.listen("127.0.0.1", port, () => ticking((text) => app.publish("prices", text, false)));
