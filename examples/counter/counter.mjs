// A counter, in JavaScript. `npm install nats@2`, then `node counter.mjs`, beside
// `tidegate --demo` or a NATS server with a gateway.

import { connect } from "nats";

const nats = await connect({ servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222" });
let count = 0;

const serve = (subject, answer) =>
  nats.subscribe(subject, {
    callback: (_, request) => request.respond(JSON.stringify(answer(request))),
  });

serve("access.example.counter", () => ({ result: { get: true, call: "add" } }));
serve("get.example.counter", () => ({ result: { model: { count } } }));
serve("call.example.counter.add", (request) => {
  const { by = 1 } = request.json().params ?? {};
  if (!Number.isInteger(by)) {
    return { error: { code: "system.invalidParams", message: "by must be a whole number" } };
  }
  count += by;
  nats.publish("event.example.counter.change", JSON.stringify({ values: { count } }));
  return { result: count };
});

// Gateways that know the counter of an earlier run ask again.
nats.publish("system.reset", JSON.stringify({ resources: ["example.counter"] }));
await nats.flush();
console.log("serving example.counter");
