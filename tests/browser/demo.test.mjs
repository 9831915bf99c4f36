// The pages of `tidegate --demo` in two windows, on a desk and on a telephone.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Program, startDemo, stopAll, TARGET } from "../support/programs.mjs";
import {
  accessibilityProblems,
  isLive,
  launchBrowser,
  openWindow,
  screenshot,
} from "./windows.mjs";

const TIDEGATE = `${TARGET}/tidegate`;
const PHONE = { width: 390, height: 844 };

describe("the demo's pages", () => {
  let demo;
  let browser;
  let here;
  let there;

  const book = (page, title) =>
    page.locator(".book", { has: page.getByRole("heading", { name: title, exact: true }) });
  const titles = (page) => page.locator(".book .title").allTextContents();
  const frame = (page, words) => page.locator("#frames li", { hasText: words }).first();
  const overflow = (page) =>
    page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );

  before(async () => {
    demo = await startDemo();
    browser = await launchBrowser();
    here = await openWindow(browser, demo.page);
    there = await openWindow(browser, demo.page, { viewport: PHONE, colorScheme: "dark" });
  });

  after(async () => {
    await browser?.close();
    await stopAll();
  });

  it("shows everything that is live", async () => {
    for (const page of [here, there]) {
      await isLive(page);
      await book(page, "Moby-Dick").waitFor();
      await page.locator("#gauges li").nth(4).waitFor();
      await page.locator("#messages", { hasText: "Welcome!" }).waitFor();
      await page.locator("#table", { hasText: "Hydrogen" }).waitFor();
    }
    await screenshot(here, "demo-first");
    await screenshot(there, "demo-phone-first");
  });

  it("adds and edits a book in both windows, and shows the frames", async () => {
    await here.locator("#new-title").fill("Dracula");
    await here.locator("#new-author").fill("Bram Stoker");
    await here.getByRole("button", { name: "Add book" }).click();
    await book(there, "Dracula").waitFor();
    await frame(here, "demo.books.add").waitFor();
    await there.getByRole("button", { name: "Edit Dracula" }).click();
    await there.locator(".book.editing .title-input").fill("Carmilla");
    await there.keyboard.press("Enter");
    await book(here, "Carmilla").waitFor();
    assert.equal(await there.locator(".book.editing").count(), 0);
    // The telephone shows the last frame, and all of them on demand.
    assert.match(await there.locator("#wire-last").textContent(), /demo\.book/);
    await there.locator("#wire-toggle").click();
    await frame(there, "demo.book.5.change").waitFor();
    await screenshot(there, "demo-phone-wire");
    await there.locator("#wire-toggle").click();
  });

  it("leaves what somebody writes alone", async () => {
    await here.getByRole("button", { name: "Edit Treasure Island" }).click();
    const form = here.locator(".book.editing");
    await form.locator(".title-input").fill("Kidnapped");
    await there.getByRole("button", { name: "Edit Treasure Island" }).click();
    await there.locator(".book.editing .author-input").fill("R. L. Stevenson");
    await there.locator(".book.editing").getByRole("button", { name: "Save" }).click();
    await frame(here, "R. L. Stevenson").waitFor();
    assert.equal(await form.locator(".title-input").inputValue(), "Kidnapped");
    assert.equal(await form.locator(".author-input").inputValue(), "R. L. Stevenson");
    await here.keyboard.press("Escape");
  });

  it("brings a deleted book back to its place, with its cover", async () => {
    const before = await titles(there);
    const cover = book(here, "To the Lighthouse").locator(".cover");
    const hue = await cover.evaluate((it) => it.style.getPropertyValue("--hue"));
    await here.getByRole("button", { name: "Delete To the Lighthouse" }).click();
    await book(there, "To the Lighthouse").waitFor({ state: "detached" });
    // The notice has the focus, and lies on nothing that could be pressed.
    const undo = here.getByRole("button", { name: "Undo" });
    assert.ok(await undo.evaluate((it) => it === document.activeElement));
    await screenshot(here, "demo-deleted");
    await here.keyboard.press("Enter");
    await book(there, "To the Lighthouse").waitFor();
    assert.deepEqual(await titles(there), before);
    assert.deepEqual(await titles(here), before);
    assert.equal(await cover.evaluate((it) => it.style.getPropertyValue("--hue")), hue);
  });

  it("moves the gate for everybody", async () => {
    const level = here.locator("#gauges .level");
    const first = await level.first().textContent();
    await level.first().filter({ hasNotText: first }).waitFor();
    await here.getByRole("button", { name: "Close the gate" }).click();
    await there.getByText("It is closed, in all windows.").waitFor();
    await there.getByRole("button", { name: "Open the gate" }).click();
    await here.getByText("It is open, in all windows.").waitFor();
  });

  it("lets people chat who say who they are", async () => {
    for (const [page, name] of [
      [here, "Ann"],
      [there, "Bob"],
    ]) {
      await page.getByLabel("Your name").fill(name);
      await page.getByRole("button", { name: "Enter" }).click();
      await page.getByLabel(`Message as ${name}`).waitFor();
    }
    await here.locator("#people", { hasText: "AnnBob" }).waitFor();
    const markup = "<img src=x onerror=\"document.title='broken in'\"><b>Hi</b>";
    await here.getByLabel("Message as Ann").fill(markup);
    await here.keyboard.press("Enter");
    await there.locator("#messages").getByText(markup).waitFor();
    assert.equal(await there.locator("#messages img, #messages b").count(), 0);
    assert.equal(await there.title(), "Tidegate, live");
    // A name is had once.
    const third = await openWindow(browser, demo.page);
    await third.getByLabel("Your name").fill("ann");
    await third.getByRole("button", { name: "Enter" }).click();
    await third.getByText("Somebody with that name is here already", { exact: true }).waitFor();
    await third.getByLabel("Your name").fill("Eve");
    await third.getByRole("button", { name: "Enter" }).click();
    await here.locator("#people", { hasText: "Eve" }).waitFor();
    // Who closes the page is gone.
    await third.close({ runBeforeUnload: false });
    await here.locator("#people", { hasNotText: "Eve" }).waitFor();
    await third.context().close();
  });

  it("searches, leafs and follows the stars", async () => {
    await here.getByRole("searchbox").fill("ium");
    await here.getByText("1 to 8 of").waitFor();
    await here.locator("#elements-rid", { hasText: "q=ium" }).waitFor();
    await here.getByRole("button", { name: "After →" }).click();
    await here.getByText("9 to 16 of").waitFor();
    await here.getByRole("searchbox").fill("xx");
    await here.getByText("None found").waitFor();
    await here.getByRole("searchbox").fill("");
    await here.locator("#sort").selectOption("stars");
    await here.locator("#elements-rid", { hasText: "sort=stars" }).waitFor();
    await there.getByRole("searchbox").fill("iron");
    await there.getByRole("button", { name: "Give Iron a star" }).click();
    await here.locator("#table li:first-child", { hasText: "Iron" }).waitFor();
    await here.getByRole("button", { name: "Give Iron a star; it has 1" }).waitFor();
  });

  it("says what to type, and that works", async () => {
    for (const name of ["books", "tide", "chat", "elements"]) {
      await here.locator(`[data-try="${name}"] summary`).click();
    }
    const commands = await here.locator(".command pre").allTextContents();
    const words = commands.filter((command) => command.startsWith("curl "));
    assert.ok(words.length >= 8, `${words.length} commands`);
    const { execFileSync } = await import("node:child_process");
    const streams = words.filter((command) => command.includes(" -N "));
    assert.equal(streams.length, 3);
    for (const command of streams.filter((command) => !command.includes("own/counter"))) {
      const program = new Program("sh", ["-c", `exec ${command}`]);
      await program.says(/^data:\{"result":\{/m);
      await program.stop();
    }
    for (const command of words.filter((command) => !streams.includes(command))) {
      const output = execFileSync("sh", ["-c", command], { encoding: "utf8", stdio: "pipe" });
      const isRefused = /chat\/messages\/send|own\/counter/.test(command);
      assert.equal(output.includes('"code"'), isRefused, `${command}: ${output}`);
    }
    // The program is named as it was called, without its place.
    const lines = commands.filter((command) => /^TIDEGATE_URL=\S+ tidegate /.test(command));
    const watched = lines.filter((line) => line.includes(" watch ") && !line.includes("own."));
    assert.equal(watched.length, 4);
    for (const line of watched) {
      const [, rid] = line.match(/ watch '(.*)'$/);
      const program = new Program("sh", ["-c", `exec env ${line.replace(" tidegate ", ` ${TIDEGATE} `)}`]);
      await program.says(new RegExp(rid.split("?")[0].replaceAll(".", "\\.")));
      await program.stop();
    }
    const call = lines.find((line) => line.includes(" call "));
    await new Program("sh", ["-c", call.replace(" tidegate ", ` ${TIDEGATE} `)]).exited;
    await there.locator("#messages", { hasText: "Hello!" }).waitFor();
    await there.locator("#people", { hasText: "Terminal" }).waitFor();
    await screenshot(here, "demo-commands");
  });

  it("catches up when the connection was lost", async () => {
    const collection = () => titles(here);
    const before = await collection();
    await demo.stop("SIGINT");
    await here.locator('#badge[data-state="lost"]').waitFor();
    demo = await startDemo(demo.ports);
    await isLive(here);
    // The services have begun anew, and the page shows what they have now.
    await book(here, "Carmilla").waitFor({ state: "detached" });
    assert.notDeepEqual(await collection(), before);
    assert.deepEqual(await collection(), [
      "Moby-Dick",
      "To the Lighthouse",
      "Treasure Island",
      "The Voyage Out",
    ]);
    // Its name is said anew by itself.
    await here.locator("#people", { hasText: "Ann" }).waitFor();
    await isLive(there);
    await here.getByLabel("Message as Ann").fill("Back again");
    await here.keyboard.press("Enter");
    await there.getByText("Back again", { exact: true }).waitFor();
  });

  it("has no accessibility problems, light or dark, on a desk or a telephone", async () => {
    await there.locator("#wire-toggle").click();
    for (const [page, name] of [
      [here, "desk"],
      [there, "phone"],
    ]) {
      for (const colorScheme of ["light", "dark"]) {
        await page.emulateMedia({ colorScheme });
        assert.deepEqual(await accessibilityProblems(page), []);
        assert.equal(await overflow(page), 0);
        await screenshot(page, `demo-${name}-${colorScheme}`);
      }
    }
    await there.locator("#wire-toggle").click();
    await there.setViewportSize({ width: 320, height: 700 });
    assert.equal(await overflow(there), 0);
  });

  it("can be used with the keyboard alone", async () => {
    const page = await openWindow(browser, demo.page);
    await isLive(page);
    await book(page, "Moby-Dick").waitFor();
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
    await page.getByRole("button", { name: "Edit Moby-Dick" }).focus();
    await page.keyboard.press("Enter");
    await page.keyboard.type("The Whale");
    await page.keyboard.press("Enter");
    await book(page, "The Whale").waitFor();
    const focused = await page.evaluate(() => document.activeElement.getAttribute("aria-label"));
    assert.equal(focused, "Edit The Whale");
    assert.deepEqual(page.problems, []);
    await page.context().close();
  });

  it("has caused no error but those of the lost connection", () => {
    for (const page of [here, there]) {
      const others = page.problems.filter((text) => !/WebSocket|ERR_INTERNET/.test(text));
      assert.deepEqual(others, []);
    }
  });
});
