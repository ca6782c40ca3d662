// Socket.IO as its documentation has it, WebSocket only. With REDIS_URL, behind its Redis adapter.
// POST /emit: every line of the body goes to everybody, as one message each.
"use strict";

const { createServer } = require("node:http");
const { Server } = require("socket.io");

async function adapter(url) {
  const { createAdapter } = require("@socket.io/redis-adapter");
  const { createClient } = require("redis");
  const publishing = createClient({ url });
  const subscribing = publishing.duplicate();
  await Promise.all([publishing.connect(), subscribing.connect()]);
  return createAdapter(publishing, subscribing);
}

async function main() {
  const http = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8");
    request.on("data", (part) => { body += part; });
    request.on("end", () => {
      if (request.url === "/emit") for (const line of body.split("\n")) io.emit("m", line);
      response.end("ok");
    });
  });
  const io = new Server(http, {
    transports: ["websocket"],
    serveClient: false,
    adapter: process.env.REDIS_URL ? await adapter(process.env.REDIS_URL) : undefined,
  });
  io.on("connection", (socket) => {
    const user = socket.handshake.query.user;
    if (user) socket.join(`user:${user}`);
  });
  http.listen({ port: Number(process.env.PORT), host: "127.0.0.1", backlog: 4096 });
}

main();
