// Firefox as it is installed, without a window, by the WebDriver BiDi protocol.

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WebSocket } from "ws";
import { SHOTS } from "./windows.mjs";

const CANDIDATES = [process.env.FIREFOX_BIN, "/usr/bin/firefox-esr", "/usr/bin/firefox"];

/** Where Firefox is, if it is there. */
export const firefox = CANDIDATES.find((file) => file && existsSync(file));

/** How long something may take to come. */
const PATIENCE = 20_000;

/** A Firefox with one page. */
export class Firefox {
  #process;
  #profile;
  #socket;
  #context;
  #last = 0;
  #pending = new Map();
  /** What the page's console and scripts complain about. */
  problems = [];

  static async start() {
    const browser = new Firefox();
    browser.#profile = mkdtempSync(join(tmpdir(), "tidegate-firefox-"));
    const args = ["--headless", "--remote-debugging-port=0", "--profile", browser.#profile, "--no-remote"];
    browser.#process = spawn(firefox, args, { stdio: ["ignore", "ignore", "pipe"] });
    const address = await new Promise((resolve, reject) => {
      let text = "";
      const timer = setTimeout(() => reject(new Error(`Firefox does not listen: ${text}`)), PATIENCE);
      browser.#process.stderr.on("data", (data) => {
        text += data;
        const found = text.match(/WebDriver BiDi listening on (ws:\S+)/);
        if (found) {
          clearTimeout(timer);
          resolve(found[1]);
        }
      });
    });
    await browser.#connect(`${address}/session`);
    return browser;
  }

  async #connect(address) {
    this.#socket = new WebSocket(address);
    await new Promise((resolve, reject) => {
      this.#socket.once("open", resolve);
      this.#socket.once("error", reject);
    });
    this.#socket.on("message", (data) => {
      const message = JSON.parse(data);
      if (message.method === "log.entryAdded" && message.params.level === "error") {
        this.problems.push(message.params.text);
      }
      const pending = this.#pending.get(message.id);
      this.#pending.delete(message.id);
      if (message.type === "error") pending?.reject(new Error(`${message.error}: ${message.message}`));
      else pending?.resolve(message.result);
    });
    await this.#send("session.new", { capabilities: {} });
    await this.#send("session.subscribe", { events: ["log.entryAdded"] });
    const { contexts } = await this.#send("browsingContext.getTree", {});
    this.#context = contexts[0].context;
  }

  #send(method, params) {
    return new Promise((resolve, reject) => {
      const id = ++this.#last;
      this.#pending.set(id, { resolve, reject });
      this.#socket.send(JSON.stringify({ id, method, params }));
    });
  }

  /** Opens a page in a window of a size. */
  async open(url, width, height) {
    const context = this.#context;
    await this.#send("browsingContext.setViewport", { context, viewport: { width, height } });
    await this.#send("browsingContext.navigate", { context, url, wait: "complete" });
  }

  /** What an expression is in the page: JSON, or a promise of it. */
  async evaluate(expression) {
    const { type, result, exceptionDetails } = await this.#send("script.evaluate", {
      expression: `Promise.resolve(${expression}).then((it) => JSON.stringify(it) ?? "null")`,
      target: { context: this.#context },
      awaitPromise: true,
    });
    if (type !== "success") throw new Error(`${expression}: ${exceptionDetails.text}`);
    return JSON.parse(result.value);
  }

  /** Waits until an expression is true in the page. */
  async until(expression) {
    await this.evaluate(`new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("it does not come")), ${PATIENCE});
      const look = () => {
        if (${expression}) {
          clearTimeout(timer);
          resolve(true);
        } else requestAnimationFrame(look);
      };
      look();
    })`);
  }

  /** Keeps a picture of the page under artifacts/browser. */
  async screenshot(name) {
    const context = this.#context;
    const { data } = await this.#send("browsingContext.captureScreenshot", { context });
    writeFileSync(`${SHOTS}${name}.png`, Buffer.from(data, "base64"));
  }

  async close() {
    this.#socket?.close();
    if (this.#process.exitCode === null) {
      const ended = new Promise((resolve) => this.#process.once("exit", resolve));
      this.#process.kill();
      await ended;
    }
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }
}
