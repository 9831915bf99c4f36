// What README says of the ways to Tidegate is done as it is written, but for the ports.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import {
  exampleFile,
  freePort,
  Program,
  ROOT,
  startBroker,
  stopAll,
  TARGET,
} from "../support/programs.mjs";

const README = readFileSync(`${ROOT}README.md`, "utf8");
const [, part] = README.match(/^## Three ways to it$([^]*?)^## /m);
const blocks = [...part.matchAll(/^```(\w+)\n([^]*?)^```$/gm)].map(([, kind, text]) => [kind, text]);

/** Takes the next block, which must be of this kind and have these words in it. */
function next(kind, words) {
  const [found, text] = blocks.shift() ?? [];
  assert.equal(found, kind, `the block with ${words}`);
  assert.match(text, words);
  return text;
}

/** A text with something else in place of what must be in it. */
function replaced(text, old, value) {
  assert.ok(text.includes(old), `${old} in ${text}`);
  return text.replaceAll(old, value);
}

/** Runs lines in a shell, and returns what they print. */
async function shell(text) {
  const program = new Program("sh", ["-ec", text]);
  assert.equal(await program.exited, "ended with code 0", program.output);
  return program.output;
}

describe("README", () => {
  const tidegate = `${TARGET}/tidegate`;
  let web;
  let service;

  before(async () => {
    web = await freePort();
  });

  after(stopAll);

  it("begins with what is run by `make test` itself", () => {
    assert.equal(next("sh", /make/), "make run\n");
    const script = readFileSync(`${ROOT}tests/tools/test.sh`, "utf8");
    assert.match(script, /^make --no-print-directory run ARGS=--version$/m);
  });

  it("makes a broker of the binary", async () => {
    const [, ...words] = next("sh", /--broker/).trim().split(" ");
    const broker = await freePort();
    const flags = ["--port", String(web), "--addr", "127.0.0.1"];
    const gateway = new Program(tidegate, [...words, String(broker), ...flags]);
    await gateway.listens(web);
    const url = `{ servers: "nats://127.0.0.1:${broker}" }`;
    service = replaced(next("js", /serve/), "connect()", `connect(${url})`);
    // Ready when it has said so, after its subscriptions.
    service += 'await nats.flush();\nconsole.log("ready");\n';
    const [install, run] = next("sh", /npm install/).trim().split("\n");
    const { devDependencies } = JSON.parse(readFileSync(`${ROOT}tests/package.json`, "utf8"));
    const [, major] = install.match(/^npm install nats@(\d+)$/);
    assert.ok(devDependencies.nats.startsWith(`${major}.`));
    const [, file] = run.match(/^node (\S+)$/);
    await new Program("node", [exampleFile(file, service)]).says(/^ready$/m);
    const lines = replaced(next("sh", /curl/), "127.0.0.1:8080", `127.0.0.1:${web}`);
    assert.match(await shell(lines.replaceAll("curl", "curl -sS")), /^1\{"count":1\}$/);
    const line = replaced(next("sh", /curl -N/), "127.0.0.1:8080", `127.0.0.1:${web}`);
    const stream = new Program("sh", ["-c", `exec ${line}`]);
    await stream.says(/^data:\{"result":\{"models":\{"my\.counter":\{"count":1\}\}\},"id":1\}$/m);
    await stream.stop();
  });

  it("is followed and called from a terminal", async () => {
    const [watch, call] = next("sh", /watch/).trim().split("\n");
    const env = { ...process.env, TIDEGATE_URL: `ws://127.0.0.1:${web}/` };
    const run = (line) => {
      const [name, ...words] = line.split(" ");
      assert.equal(name, "tidegate");
      return new Program(tidegate, words, { env });
    };
    const watcher = run(watch);
    await watcher.says(/"count":1/);
    await run(call).says(/^2$/m);
    await watcher.says(/count: 1 -> 2/);
    await watcher.stop();
  });

  it("has a client", async () => {
    const here = `ws://127.0.0.1:${web}/`;
    const text = replaced(next("js", /ResClient/), "ws://127.0.0.1:8080/", here);
    // What a browser and a bundler would bring.
    const begin = `import { WebSocket } from "ws";
import resclient from "resclient";
const ResClient = resclient.default;
globalThis.WebSocket = class extends WebSocket {
  constructor(url) {
    super(url, { allowSynchronousEvents: false });
  }
};
`;
    const rest = replaced(text, 'import ResClient from "resclient";\n', "");
    await new Program("node", [exampleFile("readme.mjs", begin + rest)]).says(/^3$/m);
  });

  it("goes to a NATS server, with the service as it is", async () => {
    const broker = await startBroker();
    const port = await freePort();
    const line = replaced(next("sh", /--nats/), "nats://127.0.0.1:4222", broker.url);
    const [, ...words] = line.trim().split(" ");
    const flags = ["--port", String(port), "--addr", "127.0.0.1"];
    const gateway = new Program(tidegate, [...words, ...flags]);
    await gateway.listens(port);
    const moved = service.replace(/nats:\/\/127\.0\.0\.1:\d+/, broker.url);
    await new Program("node", [exampleFile("moved.mjs", moved)]).says(/^ready$/m);
    assert.match(await shell(`curl -sS http://127.0.0.1:${port}/api/my/counter`), /"count":0/);
    assert.deepEqual(blocks, []);
  });
});
