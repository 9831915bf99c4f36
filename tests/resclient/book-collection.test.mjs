// The published ResClient against the book-collection example, through real sockets.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Replica, closeClients, newClient, nextEvent } from "../support/client.mjs";
import { Link } from "../support/link.mjs";
import {
  brokers,
  startBroker,
  startExample,
  startGateway,
  stopAll,
  within,
} from "../support/programs.mjs";

const FIRST_BOOKS = ["Animal Farm", "Brave New World", "Coraline"];

for (const { name, file } of brokers()) {
  describe(`book-collection with the ${name} nats-server`, () => {
    let broker;
    let gateway;
    let service;
    let link;
    let reader;
    let writer;
    let shelf;

    before(async () => {
      broker = await startBroker(file);
      gateway = await startGateway(broker);
      service = await startExample("book-collection", broker, gateway);
      link = await Link.to(gateway.port);
      // The reader comes through a link that can be cut, the writer directly.
      reader = newClient(link.url);
      writer = newClient(gateway.url);
      shelf = new Replica(await reader.get("library.books"));
    });

    after(async () => {
      closeClients();
      link?.close();
      await stopAll();
    });

    it("gets the collection with the models that it refers to", () => {
      const books = shelf.collection.toArray().map((book) => ({ ...book.props }));
      assert.deepEqual(books, [
        { id: 1, title: "Animal Farm", author: "George Orwell" },
        { id: 2, title: "Brave New World", author: "Aldous Huxley" },
        { id: 3, title: "Coraline", author: "Neil Gaiman" },
      ]);
    });

    it("tells one client what another one changes, and nothing else", async () => {
      const book = await writer.get("library.book.2");
      shelf.log = [];
      await book.set({ title: "Island", author: "Aldous Huxley" });
      await shelf.until(({ log }) => log.length > 0);
      await book.set({ title: "Brave New World" });
      await shelf.until(({ log }) => log.length > 1);
      assert.deepEqual(shelf.log, [
        { change: 2, title: "Island" },
        { change: 2, title: "Brave New World" },
      ]);
    });

    it("adds a book at the end and loads its model", async () => {
      const result = await writer.call("library.books", "new", {
        title: "Dracula",
        author: "Bram Stoker",
      });
      assert.equal(result, null);
      await shelf.until(({ log }) => log.at(-1).add === "Dracula");
      assert.equal(shelf.log.at(-1).idx, 3);
      assert.deepEqual(shelf.titles(), [...FIRST_BOOKS, "Dracula"]);
      // The model that came with the event is live as well.
      await writer.call(shelf.find("Dracula").getResourceId(), "set", { author: "B. Stoker" });
      await shelf.until(({ log }) => log.at(-1).author === "B. Stoker");
    });

    it("deletes a book; deleting it again is no error and no event", async () => {
      const { id } = shelf.find("Dracula");
      await writer.call("library.books", "delete", { id });
      await shelf.until(({ log }) => log.at(-1).remove === "Dracula");
      assert.equal(shelf.log.at(-1).idx, 3);
      assert.deepEqual(shelf.titles(), FIRST_BOOKS);
      const before = shelf.log.length;
      assert.equal(await writer.call("library.books", "delete", { id }), null);
      // An edit that follows shows that no further event came in between.
      await writer.call("library.book.1", "set", { author: "Eric Blair" });
      await shelf.until(({ log }) => log.at(-1).author === "Eric Blair");
      assert.equal(shelf.log.length, before + 1);
      await writer.call("library.book.1", "set", { author: "George Orwell" });
    });

    const failures = [
      ["library.book.1", "set", { title: 7 }, "system.invalidParams", "Title must be a string"],
      ["library.book.1", "set", { author: " " }, "system.invalidParams", "Author must not be empty"],
      ["library.book.99", "set", { title: "x" }, "system.notFound", "Not found"],
      ["library.book.1", "burn", {}, "system.methodNotFound", "Method not found"],
      [
        "library.books",
        "new",
        { title: "It" },
        "system.invalidParams",
        "Must provide both title and author",
      ],
      ["library.books", "delete", { id: "1" }, "system.invalidParams", "Book ID must be a number"],
      ["library.books", "delete", undefined, "system.invalidParams", "Book ID must be a number"],
      ["shop.books", "new", {}, "system.notFound", "Not found"],
    ];
    for (const [rid, method, params, code, message] of failures) {
      it(`answers ${rid}.${method}(${JSON.stringify(params)}) with ${code}`, async () => {
        await assert.rejects(writer.call(rid, method, params), (error) => {
          assert.deepEqual([error.code, error.message], [code, message]);
          return true;
        });
      });
    }

    it("rejects a get of what does not exist", async () => {
      await assert.rejects(writer.get("library.book.99"), { code: "system.notFound" });
      await assert.rejects(writer.get("shop.books"), { code: "system.notFound" });
      await assert.rejects(writer.get("library..books"), { code: "system.invalidRequest" });
    });

    it("delivers a burst of edits whole and in order", async () => {
      const authors = Array.from({ length: 300 }, (_, number) => `Author ${number}`);
      const book = shelf.find("Coraline");
      // ResClient calls listeners later than it changes the model, so what each event
      // replaced tells the order, and the model itself only the end.
      const replaced = [];
      const listener = (old) => replaced.push(old.author);
      book.on("change", listener);
      await Promise.all(authors.map((author) => writer.call("library.book.3", "set", { author })));
      await shelf.until(() => replaced.length === authors.length);
      book.off("change", listener);
      assert.deepEqual([...replaced, book.author], ["Neil Gaiman", ...authors]);
      await book.set({ author: "Neil Gaiman" });
    });

    it("unsubscribes a while after the last listener left, unless one came back", async () => {
      const sent = [];
      let check = () => {};
      const client = newClient(gateway.url, {}, (method) => {
        sent.push(method);
        check();
      });
      const [kept, left] = await Promise.all([1, 3].map((id) => client.get(`library.book.${id}`)));
      const listener = () => {};
      [kept, left].forEach((book) => book.on("change", listener));
      [kept, left].forEach((book) => book.off("change", listener));
      kept.on("change", listener);
      // Both were to be unsubscribed at one time: when one is, the other would have been.
      const unsubscribed = new Promise((resolve) => {
        check = () => sent.includes("unsubscribe.library.book.3") && resolve();
        check();
      });
      await within(unsubscribed, () => `sent only ${sent}`);
      assert.ok(!sent.includes("unsubscribe.library.book.1"));
      const change = nextEvent(kept, "change");
      await writer.call("library.book.3", "set", { author: "N. Gaiman" });
      await writer.call("library.book.1", "set", { author: "E. Blair" });
      await change;
      assert.equal(kept.author, "E. Blair");
      // The event of the other one, sent before, did not come; a new get shows it.
      assert.equal(left.author, "Neil Gaiman");
      assert.equal((await client.get("library.book.3")).author, "N. Gaiman");
      assert.equal(sent.filter((method) => method === "subscribe.library.book.3").length, 2);
      await writer.call("library.book.1", "set", { author: "George Orwell" });
      await writer.call("library.book.3", "set", { author: "Neil Gaiman" });
      client.disconnect();
    });

    it("catches up after the connection was cut", async () => {
      const lost = nextEvent(reader, "disconnect");
      link.cut();
      await lost;
      await writer.call("library.book.1", "set", { title: "1984" });
      await writer.call("library.books", "delete", { id: 2 });
      await writer.call("library.books", "new", { title: "Emma", author: "Jane Austen" });
      const back = nextEvent(reader, "connect");
      link.mend();
      await back;
      await shelf.until((now) => now.titles().join() === "1984,Coraline,Emma");
      // Subscribed again, not only fetched again.
      await writer.call(shelf.find("Emma").getResourceId(), "set", { title: "Persuasion" });
      await shelf.until((now) => now.titles().join() === "1984,Coraline,Persuasion");
    });

    it("catches up after the gateway was killed and started again", async () => {
      const lost = nextEvent(reader, "disconnect");
      await gateway.stop("SIGKILL");
      await lost;
      // Meanwhile somebody works through another gateway of the same broker.
      const other = await startGateway(broker);
      const elsewhere = newClient(other.url);
      await elsewhere.call("library.book.1", "set", { title: "Burmese Days" });
      await elsewhere.call("library.books", "new", { title: "Ulysses", author: "James Joyce" });
      const back = nextEvent(reader, "connect");
      gateway = await startGateway(broker, gateway.port);
      await back;
      const expected = "Burmese Days,Coraline,Persuasion,Ulysses";
      await shelf.until((now) => now.titles().join() === expected);
      // Events reach the clients of both gateways.
      const there = new Replica(await elsewhere.get("library.books"));
      assert.equal(there.titles().join(), expected);
      await writer.call("library.books", "delete", { id: 1 });
      for (const replica of [shelf, there]) {
        await replica.until((now) => now.titles().join() === "Coraline,Persuasion,Ulysses");
      }
    });

    it("follows the service back to its first state when it starts anew", async () => {
      await service.stop();
      service = await startExample("book-collection", broker, gateway);
      await shelf.until((now) => now.titles().join() === "Animal Farm,Brave New World,Coraline");
      await writer.call("library.book.2", "set", { title: "Island" });
      await shelf.until((now) => now.titles().join() === "Animal Farm,Island,Coraline");
    });
  });
}
