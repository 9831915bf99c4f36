// The client module against a gateway that says what the test wants.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, afterEach, describe, it } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { exampleFile, ROOT, within } from "../support/programs.mjs";

globalThis.WebSocket = class extends WebSocket {
  constructor(url) {
    super(url, { allowSynchronousEvents: false });
  }
};
const text = readFileSync(`${ROOT}src/pages/tidegate.js`, "utf8");
const { connect, ResError } = await import(exampleFile("tidegate.mjs", text));

/** A gateway whose answers the test gives, and which notes what it was asked. */
class Gateway {
  static async open() {
    const gateway = new Gateway();
    gateway.server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
    gateway.asked = [];
    gateway.answers = { version: () => ({ result: { protocol: "1.2.3" } }) };
    gateway.server.on("connection", (socket) => {
      gateway.socket = socket;
      socket.on("message", (data) => gateway.take(JSON.parse(data)));
    });
    await new Promise((resolve) => gateway.server.on("listening", resolve));
    gateway.url = `ws://127.0.0.1:${gateway.server.address().port}/`;
    return gateway;
  }

  async take({ id, method, params }) {
    this.asked.push(method);
    this.check?.();
    const answer = this.answers[method] ?? (() => ({ result: null }));
    this.socket.send(JSON.stringify({ id, ...(await answer(params)) }));
  }

  /** What the next such request is answered with, and all after it. */
  result(method, result) {
    this.answers[method] = () => ({ result });
  }

  event(event, data) {
    this.socket.send(JSON.stringify({ event, data }));
  }

  /** Waits until it was asked for something. */
  async was(method, times = 1) {
    const asked = new Promise((resolve) => {
      this.check = () => this.asked.filter((name) => name === method).length >= times && resolve();
      this.check();
    });
    await within(asked, () => `${method} is not among ${this.asked}`);
  }

  close() {
    this.socket?.terminate();
    this.server.close();
  }
}

/** Notes the events of a resource, and waits for so many. */
function listen(resource) {
  const heard = [];
  let check = () => {};
  resource.on("*", (data, event) => {
    heard.push([event, data]);
    check();
  });
  heard.has = (count) => {
    const there = new Promise((resolve) => {
      check = () => heard.length >= count && resolve();
      check();
    });
    return within(there, () => `heard ${JSON.stringify(heard)}`).then(() => heard.splice(0));
  };
  return heard;
}

describe("the client module", () => {
  const open = [];

  const start = async (options) => {
    const gateway = await Gateway.open();
    const client = connect(gateway.url.replace("ws", "http"), options);
    open.push(client, gateway);
    return { gateway, client };
  };

  afterEach(() => open.splice(0).forEach((it) => it.close()));
  after(() => open.forEach((it) => it.close()));

  it("keeps a list and what it refers to in step", async () => {
    const { gateway, client } = await start();
    gateway.result("subscribe.a.list", {
      collections: { "a.list": [{ rid: "a.m.1" }, { data: { x: [1] } }, "text", null] },
      models: { "a.m.1": { n: 1, link: { rid: "a.far", soft: true }, gone: 1 } },
      errors: {},
    });
    const list = await client.subscribe("a.list");
    const [model, data, plain, nothing] = list.items;
    assert.deepEqual([list.type, model.type, model.rid], ["collection", "model", "a.m.1"]);
    assert.deepEqual([data, plain, nothing], [{ x: [1] }, "text", null]);
    assert.deepEqual(model.values.link, { rid: "a.far", soft: true });

    const [ofList, ofModel] = [listen(list), listen(model)];
    gateway.event("a.m.1.change", { values: { n: 2, gone: { action: "delete" } } });
    gateway.event("a.list.add", { idx: 1, value: { rid: "a.m.2" }, models: { "a.m.2": { n: 9 } } });
    gateway.event("a.list.remove", { idx: 3 });
    gateway.event("a.list.shout", { loud: true });
    const [add, remove, shout] = await ofList.has(3);
    assert.deepEqual(await ofModel.has(1), [
      ["change", { values: { n: 2, gone: undefined }, old: { n: 1, gone: 1 } }],
    ]);
    assert.ok(!("gone" in model.values));
    assert.deepEqual([add[0], add[1].idx, add[1].value.values.n], ["add", 1, 9]);
    assert.deepEqual(remove, ["remove", { idx: 3, value: "text" }]);
    assert.deepEqual(shout, ["shout", { loud: true }]);
    const json = [{ n: 2, link: { rid: "a.far", soft: true } }, { n: 9 }, { x: [1] }, null];
    assert.deepEqual(JSON.parse(JSON.stringify(list)), json);

    // What nothing refers to any more is let go, and what comes of it is nothing to us.
    gateway.event("a.list.remove", { idx: 0 });
    await ofList.has(1);
    gateway.event("a.m.1.change", { values: { n: 3 } });
    gateway.event("a.list.end", null);
    await ofList.has(1);
    assert.deepEqual([ofModel.length, model.values.n], [0, 2]);
  });

  it("asks once for what many hold, and gives it up with the last", async () => {
    const { gateway, client } = await start();
    gateway.result("subscribe.a.m", { models: { "a.m": { n: 1 } } });
    const [one, two] = await Promise.all([client.subscribe("a.m"), client.subscribe("a.m")]);
    const three = await client.subscribe("a.m");
    assert.ok(one === two && two === three);
    await one.release();
    await one.release();
    assert.deepEqual(gateway.asked, ["version", "subscribe.a.m"]);
    await one.release();
    await one.release();
    assert.deepEqual(gateway.asked.slice(2), ["unsubscribe.a.m"]);
    gateway.result("subscribe.a.m", { models: { "a.m": { n: 2 } } });
    const again = await client.subscribe("a.m");
    assert.notEqual(again, one);
    assert.equal(again.values.n, 2);
  });

  it("counts on what the gateway still holds until that has let go", async () => {
    const { gateway, client } = await start();
    gateway.result("subscribe.a.one", {
      collections: { "a.one": [{ rid: "a.m" }] },
      models: { "a.m": { n: 1 } },
    });
    const one = await client.subscribe("a.one");
    const model = one.items[0];
    // The gateway answers in order: it has sent the model already when it is asked for the
    // second list, which comes before the first is given up.
    gateway.result("subscribe.a.two", { collections: { "a.two": [{ rid: "a.m" }] } });
    const [two] = await Promise.all([client.subscribe("a.two"), one.release()]);
    assert.equal(two.items[0], model);
    const heard = listen(model);
    gateway.event("a.m.change", { values: { n: 2 } });
    await heard.has(1);
  });

  it("gets once, calls, and says why not", async () => {
    const { gateway, client } = await start();
    gateway.result("get.a.one", {
      models: {
        "a.one": { other: { rid: "a.two" }, bad: { rid: "a.bad" } },
        "a.two": { back: { rid: "a.one" } },
      },
      errors: { "a.bad": { code: "system.notFound", message: "Not found" } },
    });
    const expected = { other: { back: { rid: "a.one" } }, bad: { rid: "a.bad" } };
    assert.deepEqual(await client.get("a.one"), expected);
    gateway.answers["call.a.one.add"] = (params) => ({ result: { payload: params } });
    assert.deepEqual(await client.call("a.one", "add", { by: 2 }), { by: 2 });
    gateway.result("call.a.list.new", { rid: "a.new", models: { "a.new": { n: 1 } } });
    const made = await client.new("a.list", {});
    assert.deepEqual([made.rid, made.values], ["a.new", { n: 1 }]);
    await made.release();
    assert.equal(gateway.asked.at(-1), "unsubscribe.a.new");
    const error = { code: "a.wrong", message: "Wrong", data: [1] };
    gateway.answers["auth.a.one.login"] = () => ({ error });
    await assert.rejects(client.auth("a.one", "login"), (caught) => {
      assert.ok(caught instanceof ResError);
      const { code, message, data } = caught;
      assert.deepEqual({ code, message, data }, error);
      return true;
    });
    gateway.answers["subscribe.a.none"] = () => ({ error });
    await assert.rejects(client.subscribe("a.none"), { code: "a.wrong" });
  });

  it("ends what is deleted or withdrawn", async () => {
    const { gateway, client } = await start();
    for (const [event, data] of [
      ["delete", null],
      ["unsubscribe", { reason: { code: "system.accessDenied" } }],
    ]) {
      gateway.result("subscribe.a.m", { models: { "a.m": { n: 1 } } });
      const model = await client.subscribe("a.m");
      const heard = listen(model);
      gateway.event(`a.m.${event}`, data);
      assert.deepEqual(await heard.has(1), [[event, data]]);
      await model.release();
      assert.notEqual(await client.subscribe("a.m"), model);
      await client.release("a.m");
    }
  });

  it("comes back, says who it is, and catches up by events", async () => {
    const prepare = (client) => client.auth("a.session", "login", { key: "k" });
    const { gateway, client } = await start({ prepare });
    gateway.result("subscribe.a.list", { collections: { "a.list": [1, 2, 3, 4] } });
    gateway.result("subscribe.a.m", { models: { "a.m": { same: 1, old: 1, n: 1 } } });
    gateway.result("subscribe.a.secret", { models: { "a.secret": {} } });
    gateway.result("subscribe.a.given.up", { models: { "a.given.up": {} } });
    const rids = ["a.list", "a.m", "a.secret", "a.given.up"];
    const [list, model, secret, given] = await Promise.all(rids.map((rid) => client.subscribe(rid)));
    await given.release();
    const [ofList, ofModel, ofSecret] = [listen(list), listen(model), listen(secret)];
    const closed = new Promise((resolve) => client.on("close", resolve));

    gateway.result("subscribe.a.list", { collections: { "a.list": [1, { rid: "a.new" }, 4, 5] },
      models: { "a.new": { n: 7 } } });
    gateway.result("subscribe.a.m", { models: { "a.m": { same: 1, n: 2 } } });
    const reason = { code: "system.accessDenied", message: "Access denied" };
    gateway.answers["subscribe.a.secret"] = () => ({ error: reason });
    // One that is open at the loss fails, and one that is asked for meanwhile waits.
    gateway.answers["call.a.m.slow"] = () => new Promise(() => {});
    const slow = assert.rejects(client.call("a.m", "slow"), { code: "system.connectionError" });
    await gateway.was("call.a.m.slow");
    gateway.asked.length = 0;
    gateway.socket.terminate();
    assert.ok((await closed).retry > 0);
    await slow;
    gateway.result("call.a.m.later", { payload: "late" });
    assert.equal(await client.call("a.m", "later"), "late");

    assert.deepEqual(gateway.asked.slice(0, 2), ["version", "auth.a.session.login"]);
    assert.ok(!gateway.asked.includes("subscribe.a.given.up"));
    await ofList.has(6);
    assert.deepEqual(list.toJSON(), [1, { n: 7 }, 4, 5]);
    const [[event, { values, old }]] = await ofModel.has(1);
    assert.deepEqual([event, values, old], ["change", { n: 2, old: undefined }, { n: 1, old: 1 }]);
    const [[end, data]] = await ofSecret.has(1);
    assert.deepEqual([end, data.reason.code], ["unsubscribe", "system.accessDenied"]);
    gateway.event("a.new.change", { values: { n: 8 } });
    gateway.event("a.list.end", null);
    await ofList.has(1);
    assert.equal(list.items[1].values.n, 8);
  });

  it("shows the frames, and that it is open", async () => {
    const { gateway, client } = await start();
    const frames = [];
    client.on("frame", ({ sent, text }) => frames.push([sent, JSON.parse(text)]));
    await client.call("a.m", "do");
    assert.ok(client.isOpen);
    assert.deepEqual(frames.map(([sent, { method }]) => [sent, method]), [
      [true, "version"],
      [false, undefined],
      [true, "call.a.m.do"],
      [false, undefined],
    ]);
    client.close();
    await new Promise((resolve) => gateway.socket.on("close", resolve));
  });
});
