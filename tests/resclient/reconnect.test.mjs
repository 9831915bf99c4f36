// ResClient with the connection of examples/reconnect: what it has it is not sent again.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { connect as connectNats } from "nats";
import resclient from "resclient";
import { WebSocket } from "ws";
import { remember } from "../../examples/reconnect/remember.mjs";
import { nextEvent } from "../support/client.mjs";
import { startBroker, startGateway, stopAll, within } from "../support/programs.mjs";

const ResClient = resclient.default ?? resclient;

/** Another gateway may be tested, which does not know the extension. */
const KNOWS = !process.env.TIDEGATE_BIN;

/** A service with a tree of 1,000 resources. */
class Service {
  constructor(url) {
    this.url = url;
    this.resources = new Map();
    const refs = [];
    for (let n = 1; n < 1000; n += 1) {
      const rid = `tree.item.${n}`;
      refs.push({ rid });
      const model = { id: n, done: false, text: `Item number ${n} of a list`, by: "somebody" };
      this.resources.set(rid, { model });
    }
    this.resources.set("tree.all", { collection: refs });
    const odd = {
      when: { data: { hour: 7, days: ["Mo", "Fr"] } },
      list: { rid: "tree.all", soft: true },
      item: { rid: "tree.item.1" },
      none: null,
    };
    this.resources.set("tree.odd", { model: odd });
  }

  async start() {
    this.nats = await connectNats({ servers: this.url });
    const serve = (subject, answer) =>
      this.nats.subscribe(subject, {
        callback: (_, request) => request.respond(JSON.stringify(answer(request))),
      });
    serve("access.tree.>", () => ({ result: { get: true, call: "*" } }));
    serve("get.tree.>", ({ subject }) => ({ result: this.resources.get(subject.slice(4)) }));
    await this.nats.flush();
  }

  change(rid, values) {
    Object.assign(this.resources.get(rid).model, values);
    this.event(rid, "change", { values });
  }

  event(rid, event, payload) {
    this.nats.publish(`event.${rid}.${event}`, JSON.stringify(payload));
  }
}

/** Bytes of a frame that a server sends. */
function frame(length) {
  return length + (length < 126 ? 2 : length < 65_536 ? 4 : 10);
}

/** A client, and what has come by its present connection and gone by it. */
function newClient(url, wrap = remember) {
  const traffic = { connections: 0 };
  const connect = () => {
    const socket = new WebSocket(url, { allowSynchronousEvents: false });
    Object.assign(traffic, { socket, received: 0, sent: 0 });
    traffic.connections += 1;
    socket.on("message", (data) => (traffic.received += frame(data.length)));
    const send = socket.send.bind(socket);
    socket.send = (text) => {
      traffic.sent += frame(text.length) + 4;
      send(text);
    };
    return socket;
  };
  const client = new ResClient(
    wrap(connect, () => client.cache),
    { reconnectDelay: 50 },
  );
  return { client, traffic };
}

const ignore = () => {};

describe("a client that comes back with what it has", () => {
  let broker;
  let gateway;
  let service;
  const clients = [];

  before(async () => {
    broker = await startBroker();
    service = new Service(broker.url);
    await service.start();
    gateway = await startGateway(broker);
  });

  after(async () => {
    clients.forEach(({ client }) => client.disconnect());
    await service.nats.close();
    await stopAll();
  });

  function open(wrap) {
    const opened = newClient(gateway.url, wrap);
    clients.push(opened);
    return opened;
  }

  /** Cuts the connection, and waits until all that is held is held again. */
  async function cut({ client, traffic }, meanwhile = () => {}) {
    const back = nextEvent(client, "connect");
    traffic.socket.terminate();
    await meanwhile();
    await back;
    // Requests are answered in order where nothing has to be asked for.
    await client.get("tree.odd").catch(ignore);
    const idle = (async () => {
      while (Object.keys(client.requests).length > 0) {
        await new Promise((resolve) => traffic.socket.once("message", () => setImmediate(resolve)));
      }
    })();
    await within(idle, () => `${Object.keys(client.requests)} are open`);
  }

  it("is sent 100 KB less of a tree of 1,000", async () => {
    const opened = open();
    const { client, traffic } = opened;
    const all = await client.get("tree.all");
    all.on("add", ignore);
    const first = traffic.received;
    assert.ok(first > 100_000, `${first}`);
    const items = all.toArray();
    await cut(opened);
    console.log(`${first} bytes at first, ${traffic.received} after a reconnect`);
    console.log(`${traffic.sent} bytes are sent to say what there is`);
    if (KNOWS) {
      assert.ok(traffic.received < 2_048, `${traffic.received}`);
    }
    assert.deepEqual(all.toArray(), items);
    const item = items[499];
    const changed = nextEvent(item, "change");
    service.change("tree.item.500", { done: true });
    await changed;
    assert.equal(item.done, true);
    // It comes back once more, and what was changed is sent.
    await cut(opened);
    if (KNOWS) {
      assert.ok(traffic.received < 2_048, `${traffic.received}`);
    }
    assert.equal(item.done, true);
    service.change("tree.item.500", { done: false });
    await nextEvent(item, "change");
    client.disconnect();
  });

  it("hears of what has changed meanwhile, by another process", async () => {
    const opened = open();
    const { client, traffic } = opened;
    const all = await client.get("tree.all");
    const log = [];
    all.on("add", ({ item, idx }) => log.push(`add ${item.id} at ${idx}`));
    all.on("remove", ({ item, idx }) => log.push(`remove ${item.id} at ${idx}`));
    for (const item of all) {
      item.on("change", () => log.push(`change ${item.id}`));
    }
    const { port } = gateway;
    await cut(opened, async () => {
      await gateway.stop();
      const list = service.resources.get("tree.all").collection;
      const [gone] = list.splice(9, 1);
      service.resources.set("tree.item.new", { model: { id: "new" } });
      list.push({ rid: "tree.item.new" });
      service.resources.get("tree.item.3").model.done = true;
      assert.equal(gone.rid, "tree.item.10");
      gateway = await startGateway(broker, port);
    });
    await within(
      (async () => {
        while (log.length < 3) await new Promise((resolve) => setImmediate(resolve));
      })(),
      () => `${log}`,
    );
    assert.deepEqual(log.sort(), ["add new at 998", "change 3", "remove 10 at 9"]);
    // The list is sent, and two models.
    console.log(`${traffic.received} bytes after some changes`);
    if (KNOWS) {
      assert.ok(traffic.received < 30_000, `${traffic.received}`);
    }
    client.disconnect();
  });

  it("has values of all kinds as they were", async () => {
    const opened = open();
    const { client, traffic } = opened;
    const odd = await client.get("tree.odd");
    const events = [];
    odd.on("change", (changed) => events.push(changed));
    const before = { ...odd.props };
    await cut(opened);
    assert.deepEqual({ ...odd.props }, before);
    assert.equal(odd.item, client.cache["tree.item.1"].item);
    assert.equal(odd.list.rid, "tree.all");
    assert.deepEqual(odd.when, { hour: 7, days: ["Mo", "Fr"] });
    assert.deepEqual(events, []);
    if (KNOWS) {
      assert.ok(traffic.received < 300, `${traffic.received}`);
    }
    client.disconnect();
  });

  it("needs nothing of what it has let go of meanwhile", async () => {
    const opened = open();
    const { client } = opened;
    const odd = await client.get("tree.odd");
    odd.on("change", ignore);
    // It is gone from the cache after we have said that we have it.
    client.setOnConnect(() => delete client.cache["tree.item.1"]);
    await cut(opened);
    assert.equal(odd.item.id, 1);
    assert.equal(client.cache["tree.item.1"].item.id, 1);
    client.disconnect();
  });
});
