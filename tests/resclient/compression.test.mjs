// permessage-deflate with the WebSocket package that Node programs use, and ResClient
// over it.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, it } from "node:test";
import resclient from "resclient";
import WebSocket from "ws";
import { nextEvent } from "../support/client.mjs";
import { startBroker, startExample, startGateway, stopAll } from "../support/programs.mjs";

const ResClient = resclient.default ?? resclient;

describe("compression", () => {
  let gateway;

  before(async () => {
    const broker = await startBroker();
    gateway = await startGateway(broker, undefined, ["--wscompression"]);
    await startExample("book-collection", broker, gateway);
  });

  after(stopAll);

  /** A connected WebSocket; `ask` sends a request and gives the answer. */
  async function connect(options) {
    const socket = new WebSocket(gateway.url, options);
    await once(socket, "open");
    let id = 0;
    socket.ask = async (method, params) => {
      id += 1;
      socket.send(JSON.stringify({ id, method, params }));
      const [data] = await once(socket, "message");
      return JSON.parse(data);
    };
    return socket;
  }

  for (const [name, options, extension] of [
    ["agreed on", { perMessageDeflate: { threshold: 0 } }, "permessage-deflate"],
    [
      "agreed on for a small window of the client",
      { perMessageDeflate: { threshold: 0, clientMaxWindowBits: 9 } },
      "permessage-deflate",
    ],
    [
      "agreed on for a small window of the gateway",
      { perMessageDeflate: { serverMaxWindowBits: 9 } },
      "permessage-deflate",
    ],
    ["not asked for", { perMessageDeflate: false }, ""],
  ]) {
    it(`is ${name}`, async () => {
      const socket = await connect(options);
      assert.equal(socket.extensions, extension);
      assert.deepEqual(await socket.ask("version", { protocol: "1.2.3" }), {
        id: 1,
        result: { protocol: "1.2.3" },
      });
      // Long parameters in, a long answer out.
      const long = "tide ".repeat(3000);
      const { error } = await socket.ask("call.library.books.new", { title: long, author: 1 });
      assert.ok(error, "a book with a number for an author");
      const { result } = await socket.ask("subscribe.library.books");
      assert.equal(result.models["library.book.2"].title, "Brave New World");
      assert.equal(result.collections["library.books"].length, 3);
      socket.terminate();
    });
  }

  it("is transparent to ResClient", async () => {
    const bytes = { plain: 0, packed: 0 };
    const client = (kind, perMessageDeflate) =>
      new ResClient(() => {
        const socket = new WebSocket(gateway.url, { perMessageDeflate });
        socket.on("upgrade", ({ socket: tcp }) => {
          tcp.on("data", (data) => (bytes[kind] += data.length));
        });
        return socket;
      });
    const clients = [client("plain", false), client("packed", { threshold: 0 })];
    try {
      const books = await Promise.all(clients.map((each) => each.get("library.books")));
      const [book] = books[0].toArray();
      const title = "Animal Farm ".repeat(40).trim();
      const changed = books.map((collection) => nextEvent(collection.toArray()[0], "change"));
      await book.call("set", { title });
      await Promise.all(changed);
      for (const collection of books) {
        assert.equal(collection.toArray()[0].title, title);
      }
      assert.ok(bytes.packed < bytes.plain - 300, JSON.stringify(bytes));
    } finally {
      clients.forEach((each) => each.disconnect());
    }
  });
});
