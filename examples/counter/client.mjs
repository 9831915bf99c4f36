// Follows the counter with the published ResClient, and adds to it. `npm install resclient ws`,
// then `node client.mjs`.

import resclient from "resclient";
import { WebSocket } from "ws";

const url = process.env.TIDEGATE_URL ?? "ws://127.0.0.1:8080/";
// Why allowSynchronousEvents: see "Tried with" in docs/COMPATIBILITY.md.
const connect = () => new WebSocket(url, { allowSynchronousEvents: false });
const client = new resclient.default(connect);

const counter = await client.get("example.counter");
console.log(`the counter is at ${counter.count}`);
counter.on("change", () => console.log(`now at ${counter.count}`));
console.log(`we made it ${await counter.call("add", { by: 2 })}`);
