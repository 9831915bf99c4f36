// The console of `tidegate --demo`, on a desk and on a telephone.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { startDemo, stopAll } from "../support/programs.mjs";
import {
  accessibilityProblems,
  isLive,
  launchBrowser,
  openWindow,
  screenshot,
} from "./windows.mjs";

const PHONE = { width: 390, height: 844 };

describe("the console", () => {
  let demo;
  let browser;
  let page;
  let phone;
  let shop;

  const go = async (window, hash, title) => {
    await window.goto(`${demo.page}console#${hash}`);
    await window.getByRole("heading", { level: 1, name: title, exact: true }).waitFor();
  };
  const overflow = (window) =>
    window.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
  const looks = async (window, name) => {
    for (const colorScheme of ["light", "dark"]) {
      await window.emulateMedia({ colorScheme });
      assert.deepEqual(await accessibilityProblems(window), []);
      assert.equal(await overflow(window), 0);
      await screenshot(window, `console-${name}-${colorScheme}`);
    }
  };

  before(async () => {
    demo = await startDemo();
    browser = await launchBrowser();
    shop = await openWindow(browser, demo.page);
    await isLive(shop);
    page = await openWindow(browser, `${demo.page}console`);
    phone = await openWindow(browser, `${demo.page}console`, { viewport: PHONE });
  });

  after(async () => {
    await browser?.close();
    await stopAll();
  });

  it("is offered by the demo", async () => {
    await shop.getByRole("link", { name: "Console", exact: true }).click();
    await shop.getByRole("heading", { level: 1, name: "Now" }).waitFor();
    await shop.goBack();
    await isLive(shop);
  });

  it("draws what goes on now", async () => {
    for (const window of [page, phone]) {
      await isLive(window);
      assert.equal(await window.locator(".plot").count(), 9);
      await window.locator("#tiles", { hasText: "connected" }).waitFor();
      // Gauges of the shop bring four events a second.
      const line = window.locator(".plot", { hasText: "Events and deliveries" }).locator(".line.s0");
      await window.waitForFunction((it) => /[1-9]/.test(it.getAttribute("d")), await line.elementHandle());
      await window.locator("#services", { hasText: "demo" }).waitFor();
    }
    await page.getByRole("heading", { name: "All figures" }).click();
    await page.locator("#figures", { hasText: "turnMaxMs" }).waitFor();
    await looks(page, "now-desk");
    await looks(phone, "now-phone");
  });

  it("tells the values of a moment to the keyboard and to screen readers", async () => {
    const plot = page.getByRole("slider", { name: "Connections: seconds before now" });
    await plot.focus();
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("ArrowLeft");
    assert.equal(await plot.getAttribute("aria-valuenow"), "2");
    assert.match(await plot.getAttribute("aria-valuetext"), /^2 s ago: all \d+, WebSocket \d/);
    await page.keyboard.press("End");
    assert.match(await plot.getAttribute("aria-valuetext"), /^now: /);
  });

  it("shows a resource as a live tree and follows references", async () => {
    await page.getByRole("link", { name: "Look", exact: true }).click();
    await page.getByLabel("Resource ID").fill("demo.books");
    await page.keyboard.press("Enter");
    await page.locator("#facts", { hasText: "collection, 4 values" }).waitFor();
    const toggle = page.locator("#tree .toggle").first();
    await toggle.focus();
    await page.keyboard.press("Enter");
    assert.equal(await toggle.getAttribute("aria-expanded"), "true");
    await page.locator("#tree", { hasText: '"Moby-Dick"' }).waitFor();
    // A change in another window comes by itself, and its event is shown.
    await shop.getByRole("button", { name: "Edit Moby-Dick" }).click();
    await shop.locator(".book.editing .title-input").fill("<b>The Whale</b>");
    await shop.keyboard.press("Enter");
    await page.locator("#tree", { hasText: '"<b>The Whale</b>"' }).waitFor();
    await page.locator("#events", { hasText: "demo.book.1.change" }).waitFor();
    assert.equal(await page.locator("#tree b, #events code b").count(), 0);
    await page.locator("#tree a", { hasText: "demo.book.2" }).click();
    await page.locator("#tree-title", { hasText: "demo.book.2" }).waitFor();
    await page.locator("#tree", { hasText: '"To the Lighthouse"' }).waitFor();
    await page.goBack();
    await page.locator("#tree-title", { hasText: "demo.books" }).waitFor();
    await page.locator("#tree .toggle").nth(3).waitFor();
  });

  it("calls methods, logs in, and says why something is refused", async () => {
    const ask = async (kind, rid, method, params) => {
      await page.getByLabel("Kind").selectOption(kind);
      await page.getByLabel("Resource", { exact: true }).fill(rid);
      await page.getByLabel("Method", { exact: true }).fill(method);
      await page.getByLabel("Parameters, JSON").fill(params);
      await page.getByRole("button", { name: "Send" }).click();
    };
    const result = page.locator("#ask-result");
    await ask("call", "demo.books", "add", "{");
    await result.filter({ hasText: "no JSON" }).waitFor();
    await ask("call", "demo.books", "add", '{"title":"Dracula","author":"Bram Stoker"}');
    await result.filter({ hasText: "resource demo.book.5" }).waitFor();
    await page.locator("#tree a", { hasText: "demo.book.5" }).waitFor();
    await ask("call", "demo.chat.messages", "send", '{"text":"Hi"}');
    await result.filter({ hasText: "system.accessDenied" }).waitFor();
    await ask("auth", "demo.chat", "login", '{"name":"Console","key":"k"}');
    await result.filter({ hasText: '{"name":"Console"}' }).waitFor();
    await ask("call", "demo.chat.messages", "send", '{"text":"Hi"}');
    await result.filter({ hasText: "Done." }).waitFor();
    await shop.locator("#messages").getByText("Hi", { exact: true }).waitFor();
    await looks(page, "look-desk");
    await go(phone, "look/demo.books", "Look");
    await phone.locator("#facts", { hasText: "collection" }).waitFor();
    await looks(phone, "look-phone");
    await go(page, "look/demo.nothing", "Look");
    await page.getByText("demo.nothing: Not found (system.notFound)").waitFor();
  });

  it("says who holds a resource, what a client holds, and what is said to it", async () => {
    await go(page, "look/demo.tide.gate", "Look");
    // The shop, and this window.
    await page.locator("#holders tr").nth(1).waitFor();
    const cids = await page.locator("#holders a").allTextContents();
    await go(page, "clients", "Clients");
    await page.locator("#clients-rows tr").nth(2).waitFor();
    for (const cid of cids) await page.locator("#clients-rows", { hasText: cid }).waitFor();
    await looks(page, "clients-desk");
    // This window does not hold it any more.
    await page.goBack();
    await page.locator("#holders tr").nth(1).waitFor();
    const busy = [];
    for (const cid of cids) {
      await go(page, `client/${cid}`, cid);
      await page.locator("#holds tr").first().waitFor();
      if ((await page.locator("#holds", { hasText: "demo.elements" }).count()) > 0) busy.push(cid);
    }
    assert.equal(busy.length, 1);
    await go(page, `client/${busy[0]}`, busy[0]);
    await page.getByRole("button", { name: "Trace for a minute" }).click();
    await page.getByText("Its frames are shown for 60 seconds.").waitFor();
    await page.locator("#frames", { hasText: "demo.tide" }).waitFor();
    await shop.getByLabel("Your name").fill("Ann");
    await shop.getByRole("button", { name: "Enter" }).click();
    const login = page.locator("#frames .asks", { hasText: "auth.demo.chat.login" }).first();
    await login.waitFor();
    assert.match(await login.textContent(), /"params":"\*\*\*"/);
    await looks(page, "client-desk");
    await go(phone, `client/${busy[0]}`, busy[0]);
    await phone.locator("#holds tr").first().waitFor();
    await looks(phone, "client-phone");
    // It cannot look at itself without end.
    const own = cids.find((cid) => cid !== busy[0]);
    await go(page, `client/${own}`, own);
    await page.getByRole("button", { name: "Trace for a minute" }).click();
    await page.getByText("A connection cannot look at its own frames").waitFor();
  });

  it("can be used with the keyboard alone, on a small screen", async () => {
    const small = await openWindow(browser, `${demo.page}console`, {
      viewport: { width: 320, height: 700 },
    });
    await isLive(small);
    await small.keyboard.press("Tab");
    assert.equal(await small.evaluate(() => document.activeElement.className), "skip");
    for (const name of ["Now", "Look", "Clients"]) {
      await small.keyboard.press("Tab");
      assert.equal(await small.evaluate(() => document.activeElement.textContent), name);
    }
    await small.keyboard.press("Enter");
    await small.locator("#clients-rows a").first().waitFor();
    assert.equal(await small.evaluate(() => document.activeElement.id), "clients-title");
    await small.locator("#clients-rows a").first().focus();
    await small.keyboard.press("Enter");
    await small.locator("#client-facts tr").first().waitFor();
    assert.equal(await overflow(small), 0);
    assert.deepEqual(small.problems, []);
    await small.context().close();
  });

  it("goes on after the connection was lost", async () => {
    await go(page, "now", "Now");
    await page.locator("#tiles", { hasText: "connected" }).waitFor();
    await demo.stop("SIGINT");
    await page.locator('#badge[data-state="lost"]').waitFor();
    demo = await startDemo(demo.ports);
    await isLive(page);
    const tile = page.locator(".tile", { hasText: "Connections" });
    await tile.filter({ hasText: /[1-9]/ }).waitFor();
    await page.locator("#services", { hasText: "$tidegate" }).waitFor();
  });

  it("has caused no error but those of the lost connection", () => {
    for (const window of [page, phone]) {
      const others = window.problems.filter((text) => !/WebSocket|ERR_INTERNET/.test(text));
      assert.deepEqual(others, []);
    }
  });
});

describe("the console from another host", () => {
  let demo;
  let browser;

  before(async () => {
    demo = await startDemo(undefined, ["--consoletoken", "a-token-of-22-letters."]);
    browser = await launchBrowser();
  });

  after(async () => {
    await browser?.close();
    await stopAll();
  });

  it("asks for the token, and keeps it for the tab", async () => {
    // A name that is not this host's own is another host to the gateway.
    const page = await openWindow(browser, "about:blank");
    const address = new URL("console", demo.page);
    address.hostname = "console.example";
    await page.goto(address.href);
    await page.getByRole("heading", { name: "Who are you?" }).waitFor();
    await screenshot(page, "console-login");
    assert.deepEqual(await accessibilityProblems(page), []);
    await page.getByLabel("Token").fill("this-is-not-the-token");
    await page.getByRole("button", { name: "Open the console" }).click();
    await page.getByText("Wrong token").waitFor();
    await page.getByLabel("Token").fill("a-token-of-22-letters.");
    await page.keyboard.press("Enter");
    await page.locator("#tiles", { hasText: "connected" }).waitFor();
    await page.reload();
    await page.locator("#tiles", { hasText: "connected" }).waitFor();
    const other = await openWindow(browser, address.href);
    await other.getByRole("heading", { name: "Who are you?" }).waitFor();
  });
});
