// Child processes of the tests: broker, gateway and example services, each on a port
// that the system chose, none of which outlives the test process.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
export const TARGET = resolve(ROOT, process.env.CARGO_TARGET_DIR || "target", "debug");

/** Milliseconds that a program may take to start or to stop. */
const PATIENCE = 15_000;

const running = new Set();
process.on("exit", () => running.forEach((program) => program.child.kill("SIGKILL")));

/** A child process and everything that it printed. */
export class Program {
  constructor(file, args, options = {}) {
    if (file.includes("/") && !existsSync(file)) {
      throw new Error(`${file} does not exist; \`make build\` makes the gateway and the examples`);
    }
    this.name = file.split("/").at(-1);
    this.output = "";
    this.child = spawn(file, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
    this.exited = new Promise((resolve) => {
      this.child.on("error", (error) => resolve(`did not start: ${error.message}`));
      this.child.on("exit", (code, signal) => resolve(`ended with ${signal ?? `code ${code}`}`));
    }).then((how) => {
      running.delete(this);
      this.over = how;
      return how;
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text) => {
        this.output += text;
        this.check?.();
      });
    }
    running.add(this);
  }

  /** Waits for a line that matches; the result is the match. */
  async says(pattern) {
    const seen = new Promise((resolve) => {
      this.check = () => {
        const match = this.output.match(pattern);
        if (match) {
          resolve(match);
        }
      };
      this.check();
    });
    return this.orElse(seen, `did not say ${pattern}`);
  }

  /** Waits until something accepts connections on a port of 127.0.0.1. */
  async listens(port) {
    const accepted = (async () => {
      while (!this.over && !(await accepts(port))) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();
    await this.orElse(accepted, `does not listen on port ${port}`);
  }

  /** Ends the process and waits until it is gone. */
  async stop(signal = "SIGTERM") {
    this.child.kill(signal);
    await within(this.exited, () => `${this.name} does not stop on ${signal}`);
  }

  async orElse(promise, complaint) {
    const story = () => `${this.name}: ${complaint}; it printed:\n${this.output}`;
    const early = this.exited.then((how) => {
      throw new Error(`${this.name} ${how}; it printed:\n${this.output}`);
    });
    return within(Promise.race([promise, early]), story);
  }
}

/** The promise, or an error with the given text when it takes too long. */
export async function within(promise, complaint) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(complaint())), PATIENCE);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function accepts(port) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

/** A TCP port of 127.0.0.1 that was free a moment ago. */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve, reject) => {
    server.on("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The gateway under test: `TIDEGATE_BIN` or the debug build. */
const tidegate = () => process.env.TIDEGATE_BIN || join(TARGET, "tidegate");

/**
 * The brokers to test with: the current nats-server and, where `NATS_SERVER_BIN_OLD` names one,
 * an old one; or with `TEST_BROKER=inside` the broker that another Tidegate has inside.
 */
export function brokers() {
  if (process.env.TEST_BROKER === "inside") {
    return [{ name: "inside", file: tidegate() }];
  }
  const current = { name: "current", file: process.env.NATS_SERVER_BIN || "nats-server" };
  const old = { name: "old", file: process.env.NATS_SERVER_BIN_OLD };
  return old.file ? [current, old] : [current];
}

export async function startBroker(file = brokers()[0].file) {
  if (file === tidegate()) {
    return startTidegate(async () => {
      const args = ["--broker", "0", "--addr", "127.0.0.1", "--port", String(await freePort())];
      const broker = new Program(file, args);
      [, broker.url] = await broker.says(/Broker for services on (nats:\S+)[^]*Listening on/);
      return broker;
    });
  }
  const broker = new Program(file, ["--addr", "127.0.0.1", "--port", "-1"]);
  const [, port] = await broker.says(/Listening for client connections on 127\.0\.0\.1:(\d+)/);
  broker.url = `nats://127.0.0.1:${port}`;
  return broker;
}

/** Starts a gateway on a free port, and on another one should somebody be faster. */
async function startTidegate(start) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start();
    } catch (error) {
      if (attempt === 5 || !/in use/i.test(error.message)) {
        throw error;
      }
    }
  }
}

/** Starts the gateway under test, on a free port if none is given. */
export function startGateway(broker, port, flags = []) {
  const start = async () => {
    const chosen = port ?? (await freePort());
    const args = ["--nats", broker.url, "--addr", "127.0.0.1", "--port", String(chosen)];
    const gateway = new Program(tidegate(), [...args, ...flags]);
    await gateway.listens(chosen);
    gateway.port = chosen;
    gateway.scheme = flags.includes("--tls") ? "wss" : "ws";
    gateway.url = `${gateway.scheme}://127.0.0.1:${chosen}/`;
    gateway.web = `${gateway.scheme.replace("ws", "http")}://127.0.0.1:${chosen}`;
    return gateway;
  };
  return port ? start() : startTidegate(start);
}

/** Starts broker, gateway, services and pages in one; `page` is the address to open. */
export async function startDemo(ports, more = []) {
  const [web, broker] = ports ?? [await freePort(), await freePort()];
  const file = join(TARGET, "tidegate");
  const demo = new Program(file, [
    ...["--demo", "--port", String(web), "--broker", String(broker)],
    ...more,
  ]);
  [, demo.page] = await demo.says(/open (http:\S+)/);
  demo.ports = [web, broker];
  return demo;
}

/** Starts the counter in a language, at a broker. */
export async function startService(language, url, environment = process.env) {
  const env = { ...environment, NATS_URL: url };
  const start = {
    Rust: () => new Program(join(TARGET, "examples", "counter"), [], { env }),
    JavaScript: () => new Program("node", [exampleFile("counter.mjs")], { env }),
    Python: () => new Program("python3", [join(ROOT, "examples/counter/counter.py")], { env }),
    Go: async () => new Program(await buildGo("examples/counter/go", "counter"), [], { env }),
  };
  const service = await start[language]();
  await service.says(/^serving example\.counter$/m);
  return service;
}

/**
 * An example's file where Node finds the packages of the tests: it looks for them beside a
 * program, and nowhere else.
 */
export function exampleFile(name, text = readFileSync(join(ROOT, "examples/counter", name))) {
  const directory = join(TARGET, "node-examples");
  mkdirSync(directory, { recursive: true });
  const link = join(directory, "node_modules");
  if (!existsSync(link)) {
    symlinkSync(join(ROOT, "tests/node_modules"), link);
  }
  const file = join(directory, name);
  writeFileSync(file, text);
  return file;
}

/** Starts the service and page of an example; `page` is the address to open. */
export async function startExample(name, broker, gateway) {
  const args = ["--nats", broker.url, "--port", "0", "--gateway", gateway.url];
  const example = new Program(join(TARGET, "examples", name), args);
  [, example.page] = await example.says(/open (http:\S+)/);
  return example;
}

/** Whether there is a Go tool chain to build services with. */
export function hasGo() {
  return spawnSync("go", ["version"]).status === 0;
}

/** Runs the Go command in tests/go-res; the result is what it printed. */
export function go(...args) {
  return goIn("tests/go-res", ...args);
}

async function goIn(directory, ...args) {
  // The versions are those of go.mod and go.sum, with the Go that is there.
  const env = { ...process.env, GOFLAGS: "-buildvcs=false", GOTOOLCHAIN: "local", GOWORK: "off" };
  const command = new Program("go", args, { cwd: join(ROOT, directory), env });
  const how = await command.exited;
  if (how !== "ended with code 0") {
    throw new Error(`go ${args[0]} in ${directory} ${how}; it printed:\n${command.output}`);
  }
  return command.output;
}

/** Builds the service in tests/go-res; the result is the program. */
export function buildGoService() {
  return buildGo("tests/go-res", "go-res");
}

async function buildGo(directory, name) {
  const file = join(TARGET, "go", name);
  await goIn(directory, "build", "-o", file, ".");
  return file;
}

/** Starts a Go service, which says so when it serves. */
export async function startGoService(file, broker) {
  const service = new Program(file, [broker.url]);
  await service.says(/^serving$/m);
  return service;
}

/** Stops everything that still runs. */
export async function stopAll() {
  await Promise.all([...running].map((program) => program.stop("SIGKILL")));
}
