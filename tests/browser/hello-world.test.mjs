// The hello-world page in two windows.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { startBroker, startExample, startGateway, stopAll } from "../support/programs.mjs";
import {
  accessibilityProblems,
  isLive,
  launchBrowser,
  openWindow,
  screenshot,
} from "./windows.mjs";

describe("the hello-world page", () => {
  let browser;
  let here;
  let there;

  before(async () => {
    const broker = await startBroker();
    const gateway = await startGateway(broker);
    const service = await startExample("hello-world", broker, gateway);
    browser = await launchBrowser();
    here = await openWindow(browser, service.page);
    there = await openWindow(browser, service.page, {
      viewport: { width: 390, height: 844 },
      colorScheme: "dark",
    });
  });

  after(async () => {
    await browser?.close();
    await stopAll();
  });

  it("greets", async () => {
    for (const page of [here, there]) {
      await isLive(page);
      await page.getByRole("heading", { name: "Hello, World!" }).waitFor();
    }
    await screenshot(here, "hello-first");
  });

  it("shows in both windows what one of them says", async () => {
    await here.getByLabel("Say something else").fill("Good morning, Lisbon!");
    await here.getByRole("button", { name: "Say it" }).click();
    for (const page of [here, there]) {
      await page.getByRole("heading", { name: "Good morning, Lisbon!" }).waitFor();
    }
    await screenshot(here, "hello-light");
    await screenshot(there, "hello-phone-dark");
  });

  it("has neither accessibility problems nor script errors", async () => {
    for (const page of [here, there]) {
      assert.deepEqual(await accessibilityProblems(page), []);
      assert.deepEqual(page.problems, []);
    }
  });
});
