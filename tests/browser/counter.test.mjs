// Pages of one's own with the client module: that of the counter, and the one in its document.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import {
  exampleFile,
  ROOT,
  startDemo,
  startService,
  stopAll,
} from "../support/programs.mjs";
import { accessibilityProblems, launchBrowser, openWindow } from "./windows.mjs";

describe("pages with the client module", () => {
  let demo;
  let browser;

  before(async () => {
    demo = await startDemo();
    await startService("JavaScript", `nats://127.0.0.1:${demo.ports[1]}`);
    browser = await launchBrowser();
  });

  after(async () => {
    await browser?.close();
    await stopAll();
  });

  it("count together, opened from a file", async () => {
    const page = `file://${ROOT}examples/counter/index.html?gateway=127.0.0.1:${demo.ports[0]}`;
    const [here, there] = [await openWindow(browser, page), await openWindow(browser, page)];
    await here.getByText("0", { exact: true }).waitFor();
    await there.getByText("0", { exact: true }).waitFor();
    await here.getByRole("button", { name: "One more" }).click();
    await there.getByText("1", { exact: true }).waitFor();
    assert.deepEqual(here.problems, []);
  });

  it("are as short as the document says", async () => {
    const document = readFileSync(`${ROOT}docs/CLIENT-MODULE.md`, "utf8");
    const [, text] = document.match(/^```html\n([^]*?)^```$/m);
    const page = text.replaceAll("127.0.0.1:8080", `127.0.0.1:${demo.ports[0]}`);
    assert.notEqual(page, text);
    const window = await openWindow(browser, `file://${exampleFile("module.html", page)}`);
    await window.getByText("true", { exact: true }).waitFor();
    const set = (open) =>
      fetch(`${demo.page}api/demo/tide/gate/set`, { method: "POST", body: JSON.stringify({ open }) });
    assert.equal((await set(false)).status, 204);
    await window.getByText("false", { exact: true }).waitFor();
    assert.deepEqual(window.problems, []);
  });

  it("have a page of the example that everybody can use", async () => {
    const page = `file://${ROOT}examples/counter/index.html?gateway=127.0.0.1:${demo.ports[0]}`;
    const window = await openWindow(browser, page);
    await window.getByText("1", { exact: true }).waitFor();
    assert.deepEqual(await accessibilityProblems(window), []);
  });
});
