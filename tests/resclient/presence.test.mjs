// The presence service of docs/SERVICES.md: it has the list right whatever happens to gateways.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { closeClients, newClient, nextEvent } from "../support/client.mjs";
import {
  exampleFile,
  Program,
  ROOT,
  startBroker,
  startGateway,
  stopAll,
  within,
} from "../support/programs.mjs";

const [, text] = readFileSync(`${ROOT}docs/SERVICES.md`, "utf8").match(
  /^```js\n(\/\/ presence\.mjs\n[^]*?)^```$/m,
);

describe("the presence service", () => {
  const flags = ["--connectionevents", "300"];
  let broker;
  let gateways;
  let presence;

  /** Starts the service, which is there when its subscriptions are. */
  async function startService() {
    const url = `connect({ servers: "${broker.url}" })`;
    assert.ok(text.includes("connect()"));
    const ready = 'await nats.flush();\nconsole.log("ready");\n';
    const program = new Program("node", [
      exampleFile("presence.mjs", text.replace("connect()", url) + ready),
    ]);
    await program.says(/^ready$/m);
    return program;
  }

  /** Waits until so many clients are counted. */
  async function counts(number) {
    const seen = (async () => {
      while (presence.count !== number) {
        await nextEvent(presence, "change");
      }
    })();
    await within(seen, () => `${presence.count} are counted, not ${number}`);
  }

  before(async () => {
    broker = await startBroker();
    gateways = [
      await startGateway(broker, undefined, flags),
      await startGateway(broker, undefined, flags),
    ];
  });

  after(async () => {
    closeClients();
    await stopAll();
  });

  it("knows who was there before it", async () => {
    const clients = [0, 0, 1].map((gateway) => newClient(gateways[gateway].url));
    await Promise.all(clients.map((client) => client.connect()));
    await startService();
    // The one who looks is there, too.
    presence = await newClient(gateways[0].url).get("presence.now");
    await counts(4);
    clients[0].disconnect();
    await counts(3);
  });

  it("sees the clients of a gateway go that is killed", async () => {
    await gateways[1].stop("SIGKILL");
    await counts(2);
  });

  it("sees those come whose events it has missed", async () => {
    gateways[1] = await startGateway(broker, undefined, flags);
    const client = newClient(gateways[1].url);
    await client.connect();
    await counts(3);
    // Those of one that ends are told to be gone.
    await gateways[1].stop();
    await counts(2);
  });
});
