// What a TypeScript app may write, and what its compiler has to refuse.
import { BellwireClient } from "../../../static/client.js";
import { followAttention } from "../../../static/attention.js";

const ending = new AbortController();
const client = new BellwireClient({ url: "https://notify.example.com", token: async () => "token" });
client.addEventListener("arrival", ({ detail }) => detail.items.map((item): string => item.title));
client.addEventListener("failure", ({ detail: { code, action, ids } }): [string, string?, string[]?] => [code, action, ids]);
client.addEventListener("status", () => client.status satisfies "stopped" | "connecting" | "online" | "waiting" | "refused", {
  signal: ending.signal,
});
client.addEventListener("change", () => client.markRead(client.items.map(({ id }) => id)));
client.start({ signal: ending.signal });
followAttention(client, { signal: ending.signal });

// @ts-expect-error there is no such event
client.addEventListener("message", () => {});
// @ts-expect-error a token is needed
new BellwireClient({ url: "https://notify.example.com" });
// @ts-expect-error ids, not one id
client.markRead(1);
// @ts-expect-error an item is not the page's to change that way
client.items = [];
