// Query collections of a service written with go-res, followed by the published ResClient.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { closeClients, newClient, nextEvent } from "../support/client.mjs";
import { Link } from "../support/link.mjs";
import {
  buildGoService,
  hasGo,
  startBroker,
  startGateway,
  startGoService,
  stopAll,
  within,
} from "../support/programs.mjs";

const skip = hasGo() ? false : "Go is not installed (https://go.dev/dl/ or apt-get install golang)";

/** A query collection as an application follows it. */
class Window {
  static async open(client, query) {
    const window = new Window();
    window.list = await client.get(`league.players${query}`);
    window.query = query;
    window.check = () => {};
    for (const event of ["add", "remove"]) {
      window.list.on(event, () => window.check());
    }
    return window;
  }

  names() {
    return this.list
      .toArray()
      .map((player) => player.name)
      .join(" ");
  }

  /** Waits until the window shows these names. */
  async shows(names) {
    const seen = new Promise((resolve) => {
      this.check = () => this.names() === names && resolve();
      this.check();
    });
    await within(seen, () => `${this.query} shows ${this.names()}, not ${names}`);
  }
}

describe("query collections of a go-res service", { skip }, () => {
  let broker;
  let gateway;
  let link;
  let reader;
  let writer;
  // The same contents as events and as whole collections, and a window that overlaps.
  let byEvents;
  let byCollection;
  let second;
  let all;

  before(async () => {
    const file = await buildGoService();
    broker = await startBroker();
    gateway = await startGateway(broker);
    await startGoService(file, broker);
    link = await Link.to(gateway.port);
    reader = newClient(link.url);
    writer = newClient(gateway.url);
    byEvents = await Window.open(reader, "?team=red&limit=3&by=events");
    byCollection = await Window.open(reader, "?by=collection&limit=3&team=red");
    second = await Window.open(reader, "?from=3&limit=3");
    all = await Window.open(reader, "");
  });

  after(async () => {
    closeClients();
    link?.close();
    await stopAll();
  });

  it("gets the windows", () => {
    assert.equal(byEvents.names(), "Ada Cleo Eve");
    assert.equal(byCollection.names(), "Ada Cleo Eve");
    assert.equal(second.names(), "Dan Eve Flo");
    assert.equal(all.names(), "Ada Bob Cleo Dan Eve Flo Gus Hal");
  });

  it("moves players in and out of all windows", async () => {
    // Somebody from below the window climbs into it.
    await writer.call("league.player.7", "set", { score: 75 });
    await byEvents.shows("Ada Gus Cleo");
    await byCollection.shows("Ada Gus Cleo");
    await second.shows("Cleo Dan Eve");
    await all.shows("Ada Bob Gus Cleo Dan Eve Flo Hal");
    // Somebody leaves the filter but not the list, and the next one moves up.
    await writer.call("league.player.1", "set", { team: "blue" });
    await byEvents.shows("Gus Cleo Eve");
    await byCollection.shows("Gus Cleo Eve");
    assert.equal(second.names(), "Cleo Dan Eve");
    assert.equal(all.names(), "Ada Bob Gus Cleo Dan Eve Flo Hal");
    assert.equal(all.list.toArray()[0].team, "blue");
  });

  it("answers a spelling of a known query with the state of now", async () => {
    const same = await Window.open(writer, "?limit=3&by=events&from=0&team=red");
    assert.equal(same.names(), byEvents.names());
    await writer.call("league.player.1", "set", { team: "red" });
    for (const window of [same, byEvents, byCollection]) {
      await window.shows("Ada Gus Cleo");
    }
  });

  it("hands over a player that is made by a call", async () => {
    const player = await writer.create("league.players", { name: "Ivy", team: "red", score: 80 });
    assert.equal(player.name, "Ivy");
    await byEvents.shows("Ada Ivy Gus");
    await byCollection.shows("Ada Ivy Gus");
    await second.shows("Gus Cleo Dan");
  });

  it("lets only the referee delete, who must log in first", async () => {
    const id = "league.player.9";
    await assert.rejects(writer.call(id, "delete"), { code: "system.accessDenied" });
    await assert.rejects(writer.authenticate("league", "login", { whistle: "silent" }), {
      code: "system.invalidParams",
      message: "That is no whistle",
    });
    await writer.authenticate("league", "login", { whistle: "loud" });
    await writer.call(id, "delete");
    await byEvents.shows("Ada Gus Cleo");
    await byCollection.shows("Ada Gus Cleo");
    await second.shows("Cleo Dan Eve");
    await assert.rejects(writer.call(id, "delete"), { code: "system.notFound" });
  });

  it("passes on what the service says of a wrong query", async () => {
    const expected = { code: "system.invalidQuery", message: "limit must be a number from 0 to 50" };
    await assert.rejects(reader.get("league.players?limit=51"), expected);
    const answer = await fetch(`${gateway.web}/api/league/players?limit=51`);
    assert.equal(answer.status, 400);
    assert.deepEqual(await answer.json(), expected);
  });

  it("serves queries over HTTP", async () => {
    const answer = await fetch(`${gateway.web}/api/league/players?team=blue&limit=1`);
    assert.equal(answer.status, 200);
    assert.deepEqual(await answer.json(), [
      {
        href: "/api/league/player/2",
        model: { id: 2, name: "Bob", team: "blue", score: 80 },
      },
    ]);
  });

  it("keeps every window right through a storm of changes", async () => {
    // Scores that differ, so that each order of the calls has one result: the last score
    // of each player. Calls on one player are sent one after the other.
    const player = async (id) => {
      for (let round = 0; round < 25; round += 1) {
        const score = ((id * 31 + round * 17) % 97) * 10 + id;
        const team = (id + round) % 3 ? "red" : "blue";
        await writer.call(`league.player.${id}`, "set", { score, team });
      }
    };
    await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(player));
    const fresh = newClient(gateway.url);
    for (const window of [byEvents, byCollection, second, all]) {
      const now = await Window.open(fresh, window.query);
      await window.shows(now.names());
      const values = (list) => list.toArray().map((one) => ({ ...one.props }));
      assert.deepEqual(values(window.list), values(now.list));
    }
    // Fresh from the service, not from what the gateway remembers.
    const other = await startGateway(broker);
    const elsewhere = newClient(other.url);
    for (const window of [byEvents, byCollection, second, all]) {
      assert.equal((await Window.open(elsewhere, window.query)).names(), window.names());
    }
  });

  it("catches up after the connection was cut", async () => {
    const lost = nextEvent(reader, "disconnect");
    link.cut();
    await lost;
    await writer.call("league.player.8", "set", { score: 5000, team: "red" });
    const back = nextEvent(reader, "connect");
    link.mend();
    await back;
    const first = (window) => window.names().startsWith("Hal ");
    for (const window of [byEvents, byCollection, all]) {
      const now = await Window.open(newClient(gateway.url), window.query);
      await window.shows(now.names());
      assert.ok(first(window));
    }
    // Subscribed again, not only fetched again.
    await writer.call("league.player.7", "set", { score: 6000, team: "red" });
    for (const window of [byEvents, byCollection, all]) {
      await window.shows((await Window.open(newClient(gateway.url), window.query)).names());
      assert.ok(window.names().startsWith("Gus Hal "));
    }
  });
});
