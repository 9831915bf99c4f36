// The example programs of the go-res module, unchanged, and ResClients that follow them
// through three gateways of one broker: one plain, one with TLS, one with compression.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Replica, closeClients, newClient, nextEvent } from "../support/client.mjs";
import { GoExample, whyNoGoExamples } from "../support/go-examples.mjs";
import { Link } from "../support/link.mjs";
import { startBroker, startGateway, stopAll } from "../support/programs.mjs";

const skip = await whyNoGoExamples();
const secrets = mkdtempSync(join(tmpdir(), "tidegate-tls-"));
process.on("exit", () => rmSync(secrets, { recursive: true, force: true }));

/** How the gateways are started and what their clients need; TLS only where openssl is. */
function transports() {
  const [cert, key] = ["cert.pem", "key.pem"].map((name) => join(secrets, name));
  const made = spawnSync("openssl", [
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
    ...["-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=gateway.test"],
    ...["-addext", "subjectAltName=IP:127.0.0.1"],
  ]);
  const secure = made.status === 0 && {
    name: "with TLS",
    flags: ["--tls", "--tlscert", cert, "--tlskey", key],
    options: { ca: readFileSync(cert) },
  };
  return [
    { name: "plain", flags: [], options: {} },
    {
      name: "compressed",
      flags: ["--wscompression"],
      options: { perMessageDeflate: { threshold: 0 } },
    },
    ...(secure ? [secure] : []),
  ];
}

/** Broker, gateways, an example program, and a client of each gateway behind a link. */
class Stage {
  static async set(name) {
    const stage = new Stage();
    stage.example = await GoExample.build(name);
    stage.broker = await startBroker();
    stage.seats = [];
    for (const { name, flags, options } of transports()) {
      const gateway = await startGateway(stage.broker, undefined, flags);
      const link = await Link.to(gateway.port, gateway.scheme);
      stage.seats.push({ name, gateway, link, client: newClient(link.url, options) });
    }
    await stage.example.start(stage.broker);
    // Whoever changes things does so without a link that is cut.
    stage.writer = newClient(stage.seats[0].gateway.url);
    stage.api = `${stage.seats[0].gateway.web}/api`;
    return stage;
  }

  /** Follows a collection in all seats. */
  async follow(rid) {
    const get = async ({ client }) => new Replica(await client.get(rid));
    return Promise.all(this.seats.map(get));
  }

  async clear() {
    closeClients();
    this.seats.forEach(({ link }) => link.close());
    await stopAll();
  }

  /** Cuts all links, does something meanwhile, and mends them. */
  async whileCut(act) {
    const lost = this.seats.map(({ client }) => nextEvent(client, "disconnect"));
    this.seats.forEach(({ link }) => link.cut());
    await Promise.all(lost);
    await act();
    const back = this.seats.map(({ client }) => nextEvent(client, "connect"));
    this.seats.forEach(({ link }) => link.mend());
    await Promise.all(back);
  }

  async restart(meanwhile = async () => {}) {
    await this.example.stop();
    await meanwhile();
    await this.example.start(this.broker);
  }

  async post(path, params) {
    const body = JSON.stringify(params);
    return fetch(`${this.api}/${path}`, { method: "POST", body });
  }
}

/** A stage for the tests of one `describe`, set and cleared around them. */
function stageFor(name) {
  const stage = {};
  before(async () => Object.setPrototypeOf(stage, await Stage.set(name)));
  after(() => stage.clear?.());
  return stage;
}

/** Waits until all replicas satisfy a predicate. */
const all = (replicas, holds) => Promise.all(replicas.map((replica) => replica.until(holds)));

describe("go-res example 01-hello-world", { skip }, () => {
  const stage = stageFor("01-hello-world");

  it("is read by every transport and over HTTP", async () => {
    for (const { name, client } of stage.seats) {
      const model = await client.get("example.model");
      assert.deepEqual({ ...model.props }, { message: "Hello, World!" }, name);
    }
    const answer = await fetch(`${stage.api}/example/model`);
    assert.deepEqual([answer.status, await answer.json()], [200, { message: "Hello, World!" }]);
    await assert.rejects(stage.writer.get("example.other"), { code: "system.notFound" });
    // It does not answer a call, nor does it have a method.
    await assert.rejects(stage.writer.call("example.model", "set"), {
      code: "system.methodNotFound",
    });
  });
});

describe("go-res example 02-edit-text", { skip }, () => {
  const stage = stageFor("02-edit-text");
  let texts;

  /** Waits until every client has this text. */
  const shows = (message) =>
    Promise.all(
      texts.map(async (text) => {
        while (text.message !== message) {
          await nextEvent(text, "change");
        }
      }),
    );

  before(async () => {
    // Somebody listens from the beginning and all the time, so that ResClient stays subscribed.
    const listen = (text) => {
      text.on("change", () => {});
      return text;
    };
    const follow = async ({ client }) => listen(await client.get("text.shared"));
    texts = await Promise.all(stage.seats.map(follow));
  });

  it("shows an edit to everybody", async () => {
    await shows("Hello, Go World!");
    const messages = ["Ebb", "", 'ü <b> & " \\ \u2028 \u{1F30A}', "x".repeat(50_000)];
    for (const [index, message] of messages.entries()) {
      const seat = texts[index % texts.length];
      const [seen] = await Promise.all([shows(message), seat.set({ message })]);
      assert.equal(seen.length, texts.length);
    }
    const answer = await stage.post("text/shared/set", { message: "by HTTP" });
    assert.equal(answer.status, 204);
    await shows("by HTTP");
    const read = await fetch(`${stage.api}/text/shared`);
    assert.deepEqual(await read.json(), { message: "by HTTP" });
  });

  it("says what is wrong with an edit", async () => {
    await assert.rejects(texts[0].set({ message: 7 }), { code: "system.invalidParams" });
    await assert.rejects(texts[0].call("unset"), { code: "system.methodNotFound" });
    assert.equal((await stage.post("text/shared/set", { message: 7 })).status, 400);
  });

  it("catches up after cut connections, and after a restart of the service", async () => {
    await stage.whileCut(() => stage.writer.call("text.shared", "set", { message: "Flood" }));
    await shows("Flood");
    await stage.restart();
    await shows("Hello, Go World!");
    await stage.writer.call("text.shared", "set", { message: "Slack" });
    await shows("Slack");
  });
});

for (const name of ["03-book-collection", "04-book-collection-store"]) {
  const isStored = name === "04-book-collection-store";
  describe(`go-res example ${name}`, { skip }, () => {
    const stage = stageFor(name);
    let shelves;

    const shows = (...titles) => all(shelves, (shelf) => shelf.titles().join() === titles.join());
    const set = (title, params) => shelves[0].find(title).call("set", params);

    before(async () => {
      shelves = await stage.follow("library.books");
    });

    it("shows new books, edits and deletions to everybody", async () => {
      await shows("Animal Farm", "Brave New World", "Coraline");
      const params = { title: "Beloved", author: "Toni Morrison" };
      const made = await stage.seats.at(-1).client.create("library.books", params);
      assert.deepEqual([made.title, made.author], ["Beloved", "Toni Morrison"]);
      const order = ["Animal Farm", "Brave New World", "Coraline"];
      order.splice(isStored ? 1 : 3, 0, "Beloved");
      await shows(...order);
      // A book keeps its place, or moves to that of its new title.
      await set("Beloved", { title: "Dracula", author: "Bram Stoker" });
      await shows("Animal Farm", "Brave New World", "Coraline", "Dracula");
      const { id } = shelves[0].find("Dracula");
      await stage.writer.call("library.books", "delete", { id });
      await shows("Animal Farm", "Brave New World", "Coraline");
      if (isStored) {
        // The other one tells nobody that the book itself is gone.
        await assert.rejects(stage.writer.get(`library.book.${id}`), { code: "system.notFound" });
      }
    });

    it("says what is wrong with a book", async () => {
      const refused = { code: "system.invalidParams" };
      await assert.rejects(stage.writer.create("library.books", { title: "It" }), refused);
      await assert.rejects(set("Coraline", { title: " " }), refused);
      await assert.rejects(stage.writer.call("library.book.none", "set", {}), {
        code: "system.notFound",
      });
    });

    it("answers HTTP", async () => {
      const params = { title: "Emma", author: "Jane Austen" };
      const answer = await stage.post("library/books/new", params);
      assert.equal(answer.status, 200);
      const book = await fetch(new URL(answer.headers.get("location"), stage.api));
      const { id, ...rest } = await book.json();
      assert.deepEqual(rest, params);
      await shows("Animal Farm", "Brave New World", "Coraline", "Emma");
      const list = await (await fetch(`${stage.api}/library/books`)).json();
      assert.deepEqual(list[3].model, { id, ...params });
    });

    it("catches up after cut connections", async () => {
      await stage.whileCut(async () => {
        const [first, emma] = ["Animal Farm", "Emma"].map((title) => shelves[0].find(title));
        await stage.writer.call("library.books", "delete", { id: first.id });
        await stage.writer.call(emma.getResourceId(), "set", { title: "Persuasion" });
      });
      await shows("Brave New World", "Coraline", "Persuasion");
      await set("Persuasion", { title: "Sanditon" });
      await shows("Brave New World", "Coraline", "Sanditon");
    });

    it("follows the service over a restart", async () => {
      await stage.restart();
      if (isStored) {
        await shows("Brave New World", "Coraline", "Sanditon");
      } else {
        await shows("Animal Farm", "Brave New World", "Coraline");
      }
      await set("Brave New World", { title: "Ape and Essence" });
      if (isStored) {
        await shows("Ape and Essence", "Coraline", "Sanditon");
      } else {
        await shows("Animal Farm", "Ape and Essence", "Coraline");
      }
    });
  });
}

describe("go-res example 05-search-query", { skip }, () => {
  const stage = stageFor("05-search-query");
  const queries = [
    "",
    "?from=0&limit=5",
    "?limit=5&from=5",
    "?name=a&limit=20",
    "?country=Sweden&limit=8",
    "?name=b&from=1&country=Germany",
  ];
  // What the service has, as far as we know.
  let customers;
  let windows;

  /** The names that a query must show. */
  function expected(query) {
    const q = new URLSearchParams(query);
    const [name, country] = [q.get("name") ?? "", q.get("country") ?? ""];
    const from = Number(q.get("from") ?? 0);
    return customers
      .filter((one) => one.name.toLowerCase().startsWith(name))
      .filter((one) => !country || one.country === country)
      .map((one) => one.name)
      .sort((a, b) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1))
      .slice(from, from + Number(q.get("limit") ?? 10));
  }

  const names = (window) => window.collection.toArray().map((one) => one.name);

  /** Waits until every window of every client shows what it must. */
  const settle = () =>
    Promise.all(
      windows.map(({ query, replicas }) =>
        all(replicas, (window) => names(window).join() === expected(query).join()),
      ),
    );

  before(async () => {
    customers = JSON.parse(readFileSync(join(stage.example.dir, "mock_customers.json")));
    windows = await Promise.all(
      queries.map(async (query) => ({
        query,
        replicas: await stage.follow(`search.customers${query}`),
      })),
    );
  });

  it("gets the windows", async () => {
    await settle();
    assert.equal(names(windows[0].replicas[0]).length, 10);
    assert.ok(expected(queries.at(-1)).length > 0);
    const countries = await stage.writer.get("search.countries");
    assert.equal(countries.toArray().join(), "France,Germany,Sweden,United Kingdom");
  });

  it("moves customers in and out of the windows as they are edited", async () => {
    const first = windows[1].replicas[0].collection.toArray()[0];
    const known = customers.find(({ name, email }) => name === first.name && email === first.email);
    for (const change of [{ name: "Zoe Zest" }, { name: "Aaron A" }, { country: "Sweden" }]) {
      Object.assign(known, change);
      await stage.writer.call(first.getResourceId(), "set", change);
      await settle();
    }
  });

  it("shows new customers where they belong, and no longer when they are gone", async () => {
    const params = { name: "Abel Berg", email: "abel@example.com", country: "Sweden" };
    customers.push(params);
    const { client } = stage.seats.at(-1);
    await assert.rejects(client.create("search.customers", params), {
      code: "system.methodNotFound",
    });
    const customer = await client.call("search.customers", "newCustomer", params);
    assert.equal(customer.name, "Abel Berg");
    await settle();
    await stage.writer.call(customer.getResourceId(), "delete");
    customers.pop();
    await settle();
    await assert.rejects(stage.writer.call(customer.getResourceId(), "set", {}), {
      code: "system.notFound",
    });
  });

  it("passes on what the service says of wrong queries and values", async () => {
    const tooMany = { code: "system.invalidQuery", message: "Limit must be 50 or less." };
    await assert.rejects(stage.writer.get("search.customers?limit=51"), tooMany);
    const answer = await fetch(`${stage.api}/search/customers?limit=51`);
    assert.deepEqual([answer.status, await answer.json()], [400, tooMany]);
    const { collection } = windows[0].replicas[0];
    await assert.rejects(collection.toArray()[0].set({ email: "nobody" }), {
      code: "system.invalidParams",
      message: "Invalid email address.",
    });
  });

  it("keeps every window right while many edit", async () => {
    const ten = windows[0].replicas[0].collection.toArray();
    const edits = ten.map(async (customer, index) => {
      const { name, email } = customer;
      const known = customers.find((one) => one.name === name && one.email === email);
      const { client } = stage.seats[index % stage.seats.length];
      for (let round = 0; round < 8; round += 1) {
        // Distinct names, one customer after the other, so that there is one outcome.
        const next = { name: `${"ABZ"[(index + round) % 3]}${index} ${round}` };
        await client.call(customer.getResourceId(), "set", next);
        Object.assign(known, next);
      }
    });
    await Promise.all(edits);
    await settle();
  });

  it("catches up after cut connections, and after a restart of the service", async () => {
    const one = windows[0].replicas[0].collection.toArray()[0];
    const known = customers.find(({ name, email }) => name === one.name && email === one.email);
    const rename = async (name) => {
      known.name = name;
      await stage.writer.call(one.getResourceId(), "set", { name });
    };
    await stage.whileCut(() => rename("Yves Y"));
    await settle();
    await stage.restart();
    await rename("Aa A");
    await settle();
  });
});
