// BullMQ as its documentation has it.
// `node bench.js add <count> <delay ms>`: adds jobs by addBulk, a thousand at a time; prints how many a second.
// `node bench.js work <count> <concurrency>`: processes so many jobs, each of which does nothing; prints how many it has
// done once that is a tenth of them.
// Either prints `ready`, waits for a line, and works; a tenth is to warm up.
"use strict";

const { Queue, Worker } = require("bullmq");

const [task, countText, otherText] = process.argv.slice(2);
const count = Number(countText);
const other = Number(otherText);
const url = new URL(process.env.REDIS_URL);
const connection = { host: url.hostname, port: Number(url.port), maxRetriesPerRequest: null };
const BULK = 1000;
const WARM_UP = 10;

function told() {
  return new Promise((resolve) => process.stdin.once("data", resolve));
}

async function add() {
  const queue = new Queue("bench", { connection });
  await queue.waitUntilReady();
  console.log("ready");
  await told();
  const warm = Math.ceil(count / WARM_UP / BULK) * BULK;
  let begun = performance.now();
  for (let at = 0; at < count; at += BULK) {
    if (at === warm) begun = performance.now();
    const jobs = [];
    for (let number = at; number < Math.min(at + BULK, count); number += 1) {
      jobs.push({
        name: "notify",
        data: { user: `user-${number % 2000}`, title: `Your order ${number} is on its way`, body: "It should arrive on Thursday." },
        opts: { delay: other, attempts: 5, backoff: { type: "exponential", delay: 1000 }, removeOnComplete: true },
      });
    }
    await queue.addBulk(jobs);
  }
  console.log((count - warm) / (performance.now() - begun) * 1000);
  await queue.close();
}

async function work() {
  let left = count;
  const warm = count - Math.floor(count / WARM_UP);
  const { promise, resolve } = Promise.withResolvers
    ? Promise.withResolvers()
    : (() => { let r; const p = new Promise((f) => { r = f; }); return { promise: p, resolve: r }; })();
  const worker = new Worker("bench", async () => {}, { connection, concurrency: other, autorun: false });
  worker.on("completed", () => {
    left -= 1;
    if (left === warm) console.log(count - left);
    if (left === 0) resolve();
  });
  await worker.waitUntilReady();
  console.log("ready");
  await told();
  worker.run();
  await promise;
  console.log("done");
  await worker.close();
}

(task === "add" ? add() : work()).then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
