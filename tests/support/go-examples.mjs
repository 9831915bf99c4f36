// The example programs that are published in the go-res module, built as they are.

import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Program, TARGET, go, hasGo, within } from "./programs.mjs";

const MODULE = "github.com/jirenius/go-res";
const RELAY = fileURLToPath(new URL("own-network.mjs", import.meta.url));
// Whoever ends the first of these processes ends them all.
const OWN_NETWORK = ["--map-root-user", "--net", "--pid", "--fork", "--kill-child"];
const WITH_LOOPBACK = 'ip link set lo up && exec "$@"';

const scratch = [];
process.on("exit", () => scratch.forEach((dir) => rmSync(dir, { recursive: true, force: true })));

/** Why the examples cannot run here; `false` if they can. */
export async function whyNoGoExamples() {
  if (!hasGo()) {
    return "Go is not installed (https://go.dev/dl/ or apt-get install golang)";
  }
  if (spawnSync("unshare", [...OWN_NETWORK, "sh", "-c", WITH_LOOPBACK, "sh", "true"]).status) {
    return "no network of their own can be made for programs here (unshare and ip, or the right to)";
  }
  try {
    await go("list", "-deps", `${MODULE}/examples/05-search-query`);
    return false;
  } catch (error) {
    return `the Go module cannot be had: ${error.message}`;
  }
}

/** One of the examples, and a directory with its files in which it runs. */
export class GoExample {
  static async build(name) {
    const example = new GoExample();
    example.file = join(TARGET, "go", name);
    await go("build", "-o", example.file, `${MODULE}/examples/${name}`);
    const source = (await go("list", "-m", "-f", "{{.Dir}}", MODULE)).trim();
    example.dir = mkdtempSync(join(tmpdir(), "tidegate-go-"));
    scratch.push(example.dir);
    // Files of the module cache are read-only, which copies shall not be.
    cpSync(join(source, "examples", name), example.dir, { recursive: true, mode: 0 });
    spawnSync("chmod", ["-R", "u+w", example.dir]);
    return example;
  }

  /** Starts the program and waits until it serves. */
  async start(broker) {
    const path = join(this.dir, "broker.sock");
    const port = Number(new URL(broker.url).port);
    if (!this.server) {
      this.server = createServer((near) => {
        const far = connect(port, "127.0.0.1");
        this.gone = new Promise((resolve) => near.on("close", resolve));
        near.on("error", () => far.destroy()).on("close", () => far.destroy());
        far.on("error", () => near.destroy()).on("close", () => near.destroy());
        near.pipe(far).pipe(near);
      });
      this.server.unref();
      await new Promise((resolve) => this.server.listen(path, resolve));
    }
    const reset = await nextReset(port);
    const command = [...OWN_NETWORK, "sh", "-c", WITH_LOOPBACK, "sh"];
    const relay = [process.execPath, RELAY, path, this.file];
    this.program = new Program("unshare", [...command, ...relay], { cwd: this.dir });
    await this.program.says(/Listening for requests/);
    await within(reset.seen, () => "the service has sent no system.reset");
  }

  /** Ends the program and waits until it is gone, which its open files shall be too. */
  async stop() {
    await this.program.stop("SIGKILL");
    await within(this.gone, () => `${this.file} does not stop`);
  }
}

/**
 * Listens for the next system.reset, which services send when all their subscriptions are
 * made: `seen` comes true when the broker has handled those.
 */
async function nextReset(port) {
  const socket = connect(port, "127.0.0.1").setEncoding("utf8");
  socket.write('CONNECT {"verbose":false}\r\nSUB system.reset 1\r\nPING\r\n');
  const says = (text) =>
    new Promise((resolve, reject) => {
      let heard = "";
      socket.on("error", reject);
      socket.on("data", (data) => (heard += data).includes(text) && resolve());
    });
  const seen = says("MSG system.reset ").finally(() => socket.destroy());
  await within(says("PONG"), () => "the broker does not answer");
  return { seen };
}
