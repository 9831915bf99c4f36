// Streams of events and conditional requests, as browsers make them.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Link } from "../support/link.mjs";
import { startDemo, stopAll, within } from "../support/programs.mjs";
import { launchBrowser, openWindow } from "./windows.mjs";

const GATE = "api/demo/tide/gate";

describe("a browser", () => {
  let demo;
  let browser;
  let page;

  before(async () => {
    // An ID at rest might come before the end of the gateway, on a slow machine.
    demo = await startDemo(undefined, ["--pinginterval", "0"]);
    browser = await launchBrowser();
    page = await openWindow(browser, demo.page);
  });

  after(async () => {
    await browser?.close();
    await stopAll();
  });

  const set = (open) =>
    fetch(`${demo.page}${GATE}/set`, { method: "POST", body: JSON.stringify({ open }) });

  /** The events of the page's stream so far, each with the ID that it would come back with. */
  const events = () => page.evaluate(() => window.events);

  const until = (count) =>
    page.waitForFunction((count) => window.events.length >= count, count);

  it("follows a resource by an EventSource", async () => {
    await page.evaluate((address) => {
      window.events = [];
      window.source = new EventSource(address);
      window.source.onmessage = (event) => {
        window.events.push([JSON.parse(event.data), event.lastEventId]);
      };
    }, `${demo.page}${GATE}`);
    await until(1);
    await set(false);
    await set(true);
    await until(3);
    const [[first, id], [closed, none], [opened]] = await events();
    assert.equal(first.result.models["demo.tide.gate"].open, true);
    assert.match(id, /^[0-9a-f]{32}$/);
    assert.deepEqual([closed.event, closed.data.values.open], ["demo.tide.gate.change", false]);
    assert.equal(opened.data.values.open, true);
    assert.equal(none, "");
  });

  it("comes back after a rest with what it has, and is sent nothing again", async () => {
    // IDs at rest come sooner where pings do.
    const quick = await startDemo(undefined, ["--pinginterval", "800"]);
    const link = await Link.to(quick.ports[0]);
    const other = await openWindow(browser, link.url.replace("ws:", "http:"));
    const rested = link.passes(/values[^]*\n\r\n[^]*\nid:([0-9a-f]{32})\n\n/);
    await other.evaluate((path) => {
      window.events = [];
      window.source = new EventSource(path);
      window.source.onmessage = (event) => window.events.push(event.data);
    }, `/${GATE}`);
    const turn = (open) =>
      fetch(`${quick.page}${GATE}/set`, { method: "POST", body: JSON.stringify({ open }) });
    await other.waitForFunction(() => window.events.length >= 1);
    await turn(false);
    const [, id] = await within(rested, () => `no ID at rest; what passed:\n${link.passed}`);
    const back = link.passes(/Last-Event-ID: ([0-9a-f]{32})[^]*event-stream[^]*\nid:[0-9a-f]{32}/i);
    link.cut();
    link.mend();
    const [, named] = await within(back, () => `it does not come back:\n${link.passed}`);
    assert.equal(named, id);
    await turn(true);
    await other.waitForFunction(() => window.events.length >= 3);
    const values = await other.evaluate(() => window.events.map((text) => JSON.parse(text)));
    assert.deepEqual(
      values.map((event) => event.event),
      [undefined, "demo.tide.gate.change", "demo.tide.gate.change"],
    );
    await other.close();
    link.close();
    await quick.stop();
  });

  it("comes back by itself when the gateway was away", async () => {
    const before = (await events()).length;
    await demo.stop("SIGINT");
    demo = await startDemo(demo.ports);
    await until(before + 1);
    const [first, id] = (await events())[before];
    assert.equal(first.result.models["demo.tide.gate"].open, true);
    assert.notEqual(id, "");
    await page.evaluate(() => window.source.close());
  });

  it("is told no reason to come back where there is no resource", async () => {
    const state = await page.evaluate(
      (address) =>
        new Promise((done) => {
          const source = new EventSource(address);
          source.onerror = () => done(source.readyState);
        }),
      `${demo.page}api/demo/nothing`,
    );
    assert.equal(state, 2);
  });

  it("asks for what it has, and waits until it is another", async () => {
    const address = `${demo.page}${GATE}`;
    const [status, tag] = await page.evaluate(async (address) => {
      const first = await fetch(address, { cache: "no-store" });
      const headers = { "If-None-Match": first.headers.get("ETag") };
      const same = await fetch(address, { headers, cache: "no-store" });
      return [same.status, headers["If-None-Match"]];
    }, address);
    assert.equal(status, 304);
    const waiting = page.evaluate(
      async ([address, tag]) => {
        const headers = { "If-None-Match": tag, Prefer: "wait=60" };
        const other = await fetch(address, { headers, cache: "no-store" });
        return [other.status, (await other.json()).open, other.headers.get("Preference-Applied")];
      },
      [address, tag],
    );
    await set(false);
    assert.deepEqual(await waiting, [200, false, "wait=60"]);
    await set(true);
  });
});
