// The same small service in four languages, each at the broker inside, followed by the published
// ResClient and asked by HTTP.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, describe, it } from "node:test";
import { closeClients, newClient, nextEvent } from "../support/client.mjs";
import {
  exampleFile,
  hasGo,
  Program,
  ROOT,
  startDemo,
  startService,
  stopAll,
} from "../support/programs.mjs";

const hasPython = () =>
  spawnSync("python3", ["-c", "import nats"], { env: pythonEnvironment() }).status === 0;
const pythonEnvironment = () => ({
  ...process.env,
  PYTHONPATH: [`${ROOT}.tools/python`, process.env.PYTHONPATH].filter(Boolean).join(":"),
});

/** What starts each, and why it may not be possible. */
const LANGUAGES = {
  Rust: { skip: false },
  JavaScript: { skip: false },
  Python: {
    skip: hasPython() ? false : "Python 3 with nats-py is not installed (pip install nats-py)",
  },
  Go: { skip: hasGo() ? false : "Go is not installed (https://go.dev/dl/)" },
};

for (const [language, { skip }] of Object.entries(LANGUAGES)) {
  describe(`the counter in ${language}`, { skip }, () => {
    let demo;

    before(async () => {
      demo = await startDemo();
      await startService(language, `nats://127.0.0.1:${demo.ports[1]}`, pythonEnvironment());
    });

    after(async () => {
      closeClients();
      await stopAll();
    });

    it("counts for everybody", async () => {
      const url = `ws://127.0.0.1:${demo.ports[0]}/`;
      const counter = await newClient(url).get("example.counter");
      assert.equal(counter.count, 0);
      let change = nextEvent(counter, "change");
      assert.equal(await counter.call("add"), 1);
      await change;
      assert.equal(counter.count, 1);

      change = nextEvent(counter, "change");
      const response = await fetch(`${demo.page}api/example/counter/add`, {
        method: "POST",
        body: '{"by":-5}',
      });
      assert.equal(await response.text(), "-4");
      await change;
      assert.equal(counter.count, -4);
      const model = await fetch(`${demo.page}api/example/counter`);
      assert.deepEqual(await model.json(), { count: -4 });
    });

    it("refuses what is no number", async () => {
      const url = `ws://127.0.0.1:${demo.ports[0]}/`;
      const client = newClient(url);
      for (const by of ["2", 1.5, true]) {
        await assert.rejects(client.call("example.counter", "add", { by }), {
          code: "system.invalidParams",
        });
      }
      await assert.rejects(client.call("example.counter", "fly"), { code: "system.accessDenied" });
    });

    it("is followed by the example of a client", async () => {
      const env = { ...process.env, TIDEGATE_URL: `ws://127.0.0.1:${demo.ports[0]}/` };
      const client = new Program("node", [exampleFile("client.mjs")], { env });
      await client.says(/the counter is at -4/);
      await client.says(/we made it -2/);
      await client.says(/now at -2/);
      await client.stop();
    });
  });
}
