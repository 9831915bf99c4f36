// The console in Firefox, where that is installed.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { startDemo, stopAll } from "../support/programs.mjs";
import { Firefox, firefox } from "./firefox.mjs";
import { AXE, SHOTS } from "./windows.mjs";

const skip = firefox ? false : "Firefox is not installed: apt-get install firefox-esr, or set FIREFOX_BIN";

describe("the console in Firefox", { skip }, () => {
  let demo;
  let page;

  const text = (selector) => `(document.querySelector(${JSON.stringify(selector)})?.textContent ?? "")`;
  const sound = async (name) => {
    await page.evaluate(`(() => { ${AXE}; return true; })()`).catch(() => {});
    const problems = await page.evaluate(
      "axe.run().then(({ violations }) => violations.map(({ id, nodes }) => `${id}: ${nodes[0].target}`))",
    );
    assert.deepEqual(problems, []);
    const overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
    assert.equal(await page.evaluate(overflow), 0);
    await page.screenshot(`console-firefox-${name}`);
  };

  before(async () => {
    mkdirSync(SHOTS, { recursive: true });
    demo = await startDemo();
    page = await Firefox.start();
  });

  after(async () => {
    await page?.close();
    await stopAll();
  });

  it("draws what goes on now", async () => {
    await page.open(`${demo.page}console`, 1280, 900);
    await page.until(`${text("#badge")} === "Live" && ${text("#tiles")}.includes("connected")`);
    await page.until(`/L/.test(document.querySelector(".plot .line.s0").getAttribute("d"))`);
    await sound("now");
  });

  it("shows a resource live, and takes calls", async () => {
    await page.open(`${demo.page}console#look/demo.books`, 390, 844);
    await page.until(`document.querySelectorAll("#tree .toggle").length === 4`);
    await page.evaluate(`document.querySelector("#tree .toggle").click()`);
    await page.until(`${text("#tree")}.includes("Moby-Dick")`);
    const fields = { method: "add", params: '{"title":"Dracula","author":"Bram Stoker"}' };
    for (const [name, value] of Object.entries(fields)) {
      await page.evaluate(`document.querySelector("#ask-${name}").value = ${JSON.stringify(value)}`);
    }
    await page.evaluate(`document.querySelector("#ask button").click()`);
    await page.until(`${text("#ask-result")} === "resource demo.book.5"`);
    await page.until(`document.querySelectorAll("#tree .toggle").length === 5`);
    await page.until(`${text("#events")}.includes("demo.books.add")`);
    await sound("look");
  });

  it("shows clients and what they hold", async () => {
    await page.open(`${demo.page}console#clients`, 1280, 900);
    await page.until(`document.querySelectorAll("#clients-rows a").length > 0`);
    await page.evaluate(`document.querySelector("#clients-rows a").click()`);
    await page.until(`document.querySelectorAll("#holds a").length > 0`);
    await sound("client");
    assert.deepEqual(page.problems, []);
  });
});
