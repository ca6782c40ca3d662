// A process beside the Socket.IO server that publishes through Redis, with Socket.IO's own emitter.
// POST / with {"number", "users", "padding"}: one message to each user's room; answers once Redis has them all.
"use strict";

const { createServer } = require("node:http");
const { Emitter } = require("@socket.io/redis-emitter");
const { createClient } = require("redis");

const digits = (number) => String(number).padStart(6, "0");

async function main() {
  const client = createClient({ url: process.env.REDIS_URL });
  await client.connect();
  const emitter = new Emitter(client);
  createServer((request, response) => {
    let body = "";
    request.on("data", (part) => { body += part; });
    request.on("end", async () => {
      if (request.method === "POST") {
        const { number, users, padding } = JSON.parse(body);
        for (let user = 0; user < users; user++) {
          emitter.to(`user:${user}`).emit("m", `m:${digits(number)}:${digits(user)};${padding}`);
        }
        await client.ping(); // behind all of them on the same connection
      }
      response.end("ok");
    });
  }).listen({ port: Number(process.env.PORT), host: "127.0.0.1" });
}

main();
