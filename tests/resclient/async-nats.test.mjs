// A service written with the async NATS client of Rust, at either broker.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, describe, it } from "node:test";
import { join } from "node:path";
import { Program, ROOT, TARGET, brokers, startBroker, startGateway, stopAll } from "../support/programs.mjs";

const directory = join(ROOT, "tests/async-nats");
const target = join(TARGET, "..", "async-nats");

/** Builds the program; `false`, or why it cannot be built here. */
function whyNoProgram() {
  const args = ["build", "--locked", "--quiet", "--target-dir", target];
  const { status, error, stderr } = spawnSync("cargo", args, { cwd: directory, encoding: "utf8" });
  if (status === 0) {
    return false;
  }
  // What cannot be fetched is no fault of ours; what cannot be compiled is.
  const fetched = spawnSync("cargo", ["fetch", "--locked"], { cwd: directory }).status === 0;
  assert.ok(!fetched, `tests/async-nats cannot be built:\n${stderr}`);
  return `the crate async-nats cannot be had: ${error?.message ?? stderr.trim().split("\n").at(-1)}`;
}

const skip = whyNoProgram();

for (const { name, file } of brokers()) {
  describe(`a service with async-nats, broker: ${name}`, { skip }, () => {
    let broker;
    let gateway;
    let service;

    before(async () => {
      broker = await startBroker(file);
      gateway = await startGateway(broker);
    });
    after(() => stopAll());

    it("finds all that a client of NATS does", { timeout: 60_000 }, async () => {
      service = new Program(join(target, "debug", "tidegate-async-nats"), [broker.url]);
      await service.says(/^serving tried\.counter$/m);
    });

    it("is served to web clients", async () => {
      const ask = async (path, method) => {
        const response = await fetch(`${gateway.web}/api/tried/counter${path}`, { method });
        return response.json();
      };
      assert.equal(await ask("/up", "POST"), 1);
      assert.deepEqual(await ask("", "GET"), { count: 1 });
      assert.equal(await ask("/up", "POST"), 2);
      assert.deepEqual(await ask("", "GET"), { count: 2 });
    });
  });
}
