// Chromium windows for the page tests: each with its own session, watched for
// errors, and able to leave a screenshot.

import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

export const SHOTS = fileURLToPath(new URL("../../artifacts/browser/", import.meta.url));
export const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const CANDIDATES = [
  process.env.CHROMIUM_BIN,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
];

export async function launchBrowser() {
  const executablePath = CANDIDATES.find((file) => file && existsSync(file));
  if (!executablePath) {
    throw new Error("Chromium is not installed: apt-get install chromium, or set CHROMIUM_BIN");
  }
  mkdirSync(SHOTS, { recursive: true });
  return chromium.launch({
    executablePath,
    args: [
      "--no-sandbox",
      "--headless",
      "--disable-gpu",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--no-first-run",
      "--disable-quic",
      // For pages that must come from another host than this one.
      "--host-resolver-rules=MAP console.example 127.0.0.1",
    ],
  });
}

/**
 * Opens a page in a window of its own. `page.problems` collects what its console and
 * its scripts complain about.
 */
export async function openWindow(browser, address, options = {}) {
  const context = await browser.newContext({
    viewport: { width: 1180, height: 820 },
    reducedMotion: "reduce",
    ...options,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.problems = [];
  page.on("pageerror", (error) => page.problems.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") {
      page.problems.push(message.text());
    }
  });
  await page.goto(address);
  return page;
}

/** Waits until the page is connected to the gateway. */
export async function isLive(page) {
  await page.locator('#badge[data-state="live"]').waitFor();
}

/** Keeps a picture of the page under artifacts/browser. */
export async function screenshot(page, name) {
  await page.screenshot({ path: `${SHOTS}${name}.png` });
}

/** What an accessibility checker finds wrong, one line per rule. */
export async function accessibilityProblems(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run());
  return violations.map(({ id, help, nodes }) => `${id}: ${help} (${nodes[0].target})`);
}
