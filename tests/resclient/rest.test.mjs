// The same service over HTTP, as a script or another server uses it.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Replica, closeClients, newClient } from "../support/client.mjs";
import { startBroker, startExample, startGateway, stopAll } from "../support/programs.mjs";

describe("book-collection over HTTP", () => {
  let gateway;
  let api;

  const post = (path, body) =>
    fetch(`${api}${path}`, { method: "POST", body: body && JSON.stringify(body) });

  before(async () => {
    const broker = await startBroker();
    gateway = await startGateway(broker);
    await startExample("book-collection", broker, gateway);
    api = `${gateway.web}/api`;
  });

  after(async () => {
    closeClients();
    await stopAll();
  });

  it("gets a model", async () => {
    const response = await fetch(`${api}/library/book/1`);
    assert.equal(response.status, 200);
    assert.match(response.headers.get("content-type"), /^application\/json/);
    assert.deepEqual(await response.json(), {
      id: 1,
      title: "Animal Farm",
      author: "George Orwell",
    });
  });

  it("gets a collection with its references followed", async () => {
    const books = await (await fetch(`${api}/library/books`)).json();
    assert.equal(books.length, 3);
    assert.deepEqual(books[1], {
      href: "/api/library/book/2",
      model: { id: 2, title: "Brave New World", author: "Aldous Huxley" },
    });
  });

  it("answers HEAD without a body", async () => {
    const response = await fetch(`${api}/library/book/1`, { method: "HEAD" });
    assert.equal(response.status, 200);
    assert.equal(await response.text(), "");
  });

  it("calls methods, whose events reach WebSocket clients", async () => {
    const shelf = new Replica(await newClient(gateway.url).get("library.books"));
    const edited = await post("/library/book/3/set", { title: "Stardust" });
    assert.equal(edited.status, 204);
    const added = await post("/library/books/new", { title: "Dracula", author: "Bram Stoker" });
    assert.equal(added.status, 204);
    const deleted = await post("/library/books/delete", { id: 1 });
    assert.equal(deleted.status, 204);
    await shelf.until((now) => now.titles().join() === "Brave New World,Stardust,Dracula");
  });

  const failures = [
    ["GET", "/library/book/99", undefined, 404, "system.notFound"],
    ["GET", "/library/books/", undefined, 404, "system.notFound"],
    ["POST", "/library/books/new", { title: "It" }, 400, "system.invalidParams"],
    ["POST", "/library/book/3/burn", undefined, 404, "system.methodNotFound"],
    ["DELETE", "/library/book/3", undefined, 405, "system.methodNotAllowed"],
  ];
  for (const [method, path, body, status, code] of failures) {
    it(`answers ${method} ${path} with ${status} ${code}`, async () => {
      const response = await fetch(`${api}${path}`, { method, body: body && JSON.stringify(body) });
      assert.equal(response.status, status);
      assert.equal((await response.json()).code, code);
    });
  }
});
