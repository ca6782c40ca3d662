// node client.mjs URL TOKEN: shows an inbox in the terminal, reads what comes, and ends by an AbortSignal.
import { BellwireClient } from "../../static/client.js";

const [url, token] = process.argv.slice(2);
const ending = new AbortController();
const client = new BellwireClient({ url, token: () => token });
let told = "";
client.addEventListener("failure", ({ detail }) => console.error(detail));
client.addEventListener("change", () => {
  const { status, transport, loaded, items, counts } = client;
  const state = JSON.stringify({ status, transport, loaded, titles: items.map(({ title }) => title), counts });
  if (state !== told) console.log((told = state));
  if (counts.unread > 0 && items[0]?.title === "live") client.markAllRead();
  if (items.length > 1 && items.every(({ read_at }) => read_at !== null)) ending.abort();
});
client.start({ signal: ending.signal });
