// The published ResClient against the hello-world example.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { closeClients, newClient, nextEvent } from "../support/client.mjs";
import { startBroker, startExample, startGateway, stopAll } from "../support/programs.mjs";

describe("hello-world", () => {
  let gateway;

  before(async () => {
    const broker = await startBroker();
    gateway = await startGateway(broker);
    await startExample("hello-world", broker, gateway);
  });

  after(async () => {
    closeClients();
    await stopAll();
  });

  it("greets, and passes a new greeting on to everybody", async () => {
    const here = await newClient(gateway.url).get("example.model");
    const there = await newClient(gateway.url).get("example.model");
    assert.equal(here.message, "Hello, World!");
    const heard = nextEvent(there, "change");
    await here.set({ message: "Hej, världen! 👋" });
    assert.deepEqual(await heard, { message: "Hello, World!" });
    assert.equal(there.message, "Hej, världen! 👋");
  });

  it("refuses a message that is no string", async () => {
    const model = await newClient(gateway.url).get("example.model");
    await assert.rejects(model.set({ message: 1 }), {
      code: "system.invalidParams",
      message: "Message must be a string",
    });
  });

  it("permits no other method", async () => {
    await assert.rejects(newClient(gateway.url).call("example.model", "delete"), {
      code: "system.accessDenied",
    });
  });
});
