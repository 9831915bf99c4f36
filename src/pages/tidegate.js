// A client of the RES protocol for small pages, in one file and without dependencies.
// docs/CLIENT-MODULE.md describes it.
//
//   import { connect } from "/tidegate.js";
//   const client = connect();
//   const books = await client.subscribe("demo.books");
//   books.on("add", ({ idx, value }) => console.log(idx, value.values.title));

const PROTOCOL = "1.2.3";

/** Milliseconds before it is tried again to connect: at first, and at most. */
const RETRY = [250, 5000];

/** What the gateway or a service refuses: `code`, `message` and perhaps `data`. */
export class ResError extends Error {
  constructor({ code, message, data }) {
    super(message ?? code);
    this.name = "ResError";
    this.code = code;
    this.data = data;
  }
}

const LOST = { code: "system.connectionError", message: "The connection is lost" };

/** Listeners by the name of an event; `*` hears all. */
class Source {
  #listeners = new Map();

  /** Calls `listener(data, event)` for each such event. Returns what ends that. */
  on(event, listener) {
    const all = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, all.add(listener));
    return () => all.delete(listener);
  }

  /** Tells the listeners. One that fails keeps no other from hearing. */
  emit(event, data) {
    for (const name of [event, "*"]) {
      for (const listener of [...(this.#listeners.get(name) ?? [])]) {
        try {
          listener(data, event);
        } catch (error) {
          console.error(error);
        }
      }
    }
  }
}

/**
 * A resource: `values` of a model, `items` of a collection, or the `error` in place of either.
 * References in it are resources again. Its events are `change`, `add`, `remove`, `delete`,
 * `unsubscribe`, and those that the service invents.
 */
export class Resource extends Source {
  constructor(client, rid) {
    super();
    this.client = client;
    this.rid = rid;
  }

  get type() {
    return this.items ? "collection" : this.values ? "model" : "error";
  }

  /** Calls a method of it. */
  call(method, params) {
    return this.client.call(this.rid, method, params);
  }

  /** Gives it up; when everybody has who has subscribed to it, it ends. */
  release() {
    return this.client.release(this.rid);
  }

  /** As JSON, with all that it refers to. */
  toJSON() {
    return plain(this, new Set());
  }
}

/** Connects to a gateway: that of this page if no address is given. See {@link Client}. */
export function connect(url, options) {
  return new Client(url, options);
}

/**
 * A connection to a gateway, made anew whenever it is lost. Its events are `open`, `close`
 * with the milliseconds until it is tried again, and `frame` with `sent` and `text`.
 *
 * `prepare(client)` is called on each new connection before anything is subscribed to anew:
 * the place to log in.
 */
export class Client extends Source {
  #url;
  #prepare;
  #socket = null;
  #retry = RETRY[0];
  #timer;
  #lastId = 0;
  #isReady = false;
  #isClosed = false;
  /** Requests without an answer, by ID. */
  #pending = new Map();
  /** What waits for the connection. */
  #queue = [];
  /** Resources that the gateway keeps in step, by resource ID. */
  #cache = new Map();
  /** Subscribe requests on their way, by resource ID. */
  #loading = new Map();

  constructor(url = "/", { prepare } = {}) {
    super();
    this.#url = new URL(url, globalThis.location?.href);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    this.#prepare = prepare;
    this.#open();
    globalThis.addEventListener?.("online", () => this.#hurry());
  }

  get isOpen() {
    return this.#isReady;
  }

  /** Ends the connection for good. */
  close() {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#socket?.close();
  }

  /** Subscribes: the resource, held and kept in step until it is released. */
  async subscribe(rid) {
    const held = this.#cache.get(rid);
    if (held?.holders > 0) {
      held.holders += 1;
      return held.resource;
    }
    // Whoever asks at the same time shares the request.
    let loading = this.#loading.get(rid);
    if (!loading) {
      loading = this.#request(`subscribe.${rid}`).then((set) => this.#hold(rid, set));
      this.#loading.set(rid, loading);
      const done = () => this.#loading.delete(rid);
      loading.then(done, done);
    }
    const entry = await loading;
    entry.holders += 1;
    return entry.resource;
  }

  /** Gives up what was subscribed to once. */
  async release(rid) {
    const entry = this.#cache.get(rid);
    if (!entry?.holders || --entry.holders > 0) {
      return;
    }
    if (this.#isReady) {
      // It stays until the gateway has let it go: what comes before that counts on it.
      await this.#request(`unsubscribe.${rid}`).catch(() => {});
    }
    entry.direct = Math.max(0, entry.direct - 1);
    this.#collect();
  }

  /** Gets a resource once, as JSON. */
  async get(rid) {
    const set = await this.#request(`get.${rid}`);
    const found = new Map();
    for (const [id, content] of contents(set)) {
      found.set(id, Object.assign(new Resource(this, id), content));
    }
    const refer = (id) => found.get(id) ?? this.#cache.get(id)?.resource ?? new Resource(this, id);
    for (const resource of found.values()) {
      resource.items &&= resource.items.map((value) => read(value, refer));
      resource.values &&= mapValues(resource.values, (value) => read(value, refer));
    }
    return refer(rid).toJSON();
  }

  /**
   * Calls a method: its result, or the resource that it answers with, which is subscribed to
   * then.
   */
  call(rid, method, params) {
    return this.#ask(`call.${rid}.${method}`, params);
  }

  /** Calls a method that says who this connection is. */
  auth(rid, method, params) {
    return this.#ask(`auth.${rid}.${method}`, params);
  }

  /** Makes a new resource in a collection, by its method `new`. */
  new(rid, params) {
    return this.call(rid, "new", params);
  }

  async #ask(method, params) {
    const result = await this.#request(method, params);
    if (result?.rid === undefined) {
      return result?.payload;
    }
    const entry = this.#hold(result.rid, result);
    entry.holders += 1;
    return entry.resource;
  }

  // The connection

  #open() {
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.onopen = () => this.#greet(socket);
    socket.onmessage = ({ data }) => this.#take(data);
    socket.onclose = () => this.#lose(socket);
  }

  #hurry() {
    if (this.#socket === null && !this.#isClosed) {
      clearTimeout(this.#timer);
      this.#open();
    }
  }

  async #greet(socket) {
    try {
      await this.#send("version", { protocol: PROTOCOL });
      await this.#prepare?.(this);
    } catch (error) {
      console.error(error);
    }
    if (this.#socket !== socket) {
      return;
    }
    this.#retry = RETRY[0];
    this.#isReady = true;
    const held = [...this.#cache.values()].filter((entry) => entry.holders > 0);
    for (const entry of this.#cache.values()) {
      entry.direct = 0;
    }
    const restored = held.map((entry) => this.#restore(entry));
    for (const send of this.#queue.splice(0)) {
      send();
    }
    this.emit("open");
    await Promise.all(restored);
    this.#collect();
  }

  async #restore({ resource: { rid } }) {
    try {
      this.#hold(rid, await this.#send(`subscribe.${rid}`));
    } catch (error) {
      if (this.#isReady) {
        this.#end(rid, "unsubscribe", { reason: error });
      }
    }
  }

  #lose(socket) {
    if (this.#socket !== socket) {
      return;
    }
    this.#socket = null;
    this.#isReady = false;
    for (const { reject } of this.#pending.values()) {
      reject(new ResError(LOST));
    }
    this.#pending.clear();
    if (this.#isClosed) {
      this.emit("close", { retry: null });
      return;
    }
    // Not all clients of a gateway come back at the same moment.
    const retry = Math.round(this.#retry * (0.75 + Math.random() / 2));
    this.#retry = Math.min(2 * this.#retry, RETRY[1]);
    this.#timer = setTimeout(() => this.#open(), retry);
    this.emit("close", { retry });
  }

  /** Sends a request when there is a connection. */
  #request(method, params) {
    // What `prepare` asks for goes ahead of all others.
    if (this.#isReady || this.#socket?.readyState === 1) {
      return this.#send(method, params);
    }
    return new Promise((resolve, reject) => {
      this.#queue.push(() => this.#send(method, params).then(resolve, reject));
    });
  }

  #send(method, params) {
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      const text = JSON.stringify({ id, method, params });
      this.#pending.set(id, { resolve, reject });
      this.#socket.send(text);
      this.emit("frame", { sent: true, text });
    });
  }

  #take(text) {
    this.emit("frame", { sent: false, text });
    const message = JSON.parse(text);
    if (message.event !== undefined) {
      this.#apply(message.event, message.data);
      return;
    }
    const pending = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if (message.error) {
      pending?.reject(new ResError(message.error));
    } else {
      pending?.resolve(message.result);
    }
  }

  // The resources

  /** A resource is subscribed to directly once more. */
  #hold(rid, set) {
    this.#put(set);
    const entry = this.#entry(rid);
    entry.direct += 1;
    return entry;
  }

  #entry(rid) {
    let entry = this.#cache.get(rid);
    if (!entry) {
      entry = { resource: new Resource(this, rid), holders: 0, direct: 0 };
      this.#cache.set(rid, entry);
    }
    return entry;
  }

  /** Takes the resources of an answer or event. What was there already is brought up to date. */
  #put(set) {
    const refer = (rid) => this.#entry(rid).resource;
    const old = [];
    for (const [rid, { items, values, error }] of contents(set)) {
      const resource = refer(rid);
      const now = {
        items: items?.map((value) => read(value, refer)),
        values: values && mapValues(values, (value) => read(value, refer)),
        error: error && new ResError(error),
      };
      if (resource.items || resource.values) {
        old.push([resource, now]);
      } else {
        Object.assign(resource, now);
      }
    }
    // Nobody hears of anything before all of it is there.
    for (const [resource, { items, values }] of old) {
      if (items && resource.items) {
        replaceItems(resource, items);
      } else if (values && resource.values) {
        const gone = Object.keys(resource.values).filter((name) => !(name in values));
        changeValues(resource, { ...values, ...Object.fromEntries(gone.map((name) => [name])) });
      }
    }
  }

  #apply(name, data) {
    const at = name.lastIndexOf(".");
    const [rid, event] = [name.slice(0, at), name.slice(at + 1)];
    const resource = this.#cache.get(rid)?.resource;
    if (!resource) {
      return;
    }
    this.#put(data ?? {});
    const refer = (id) => this.#entry(id).resource;
    if (event === "change" && resource.values) {
      changeValues(resource, mapValues(data.values, (value) => read(value, refer)));
    } else if (event === "add" && resource.items) {
      const value = read(data.value, refer);
      resource.items.splice(data.idx, 0, value);
      resource.emit("add", { idx: data.idx, value });
    } else if (event === "remove" && resource.items) {
      const [value] = resource.items.splice(data.idx, 1);
      resource.emit("remove", { idx: data.idx, value });
    } else if (event === "delete" || event === "unsubscribe") {
      this.#end(rid, event, data);
    } else {
      resource.emit(event, data);
    }
    this.#collect();
  }

  /** A resource is not kept in step any more, unless something refers to it. */
  #end(rid, event, data) {
    const entry = this.#cache.get(rid);
    if (entry) {
      entry.holders = entry.direct = 0;
      entry.resource.emit(event, data);
      this.#collect();
    }
  }

  /** Forgets what nothing leads to: the gateway has let go of it, too. */
  #collect() {
    const reached = new Set();
    const open = [...this.#cache.values()]
      .filter((entry) => entry.direct > 0 || entry.holders > 0)
      .map((entry) => entry.resource);
    for (let resource = open.pop(); resource; resource = open.pop()) {
      if (!reached.has(resource.rid)) {
        reached.add(resource.rid);
        const values = resource.items ?? Object.values(resource.values ?? {});
        open.push(...values.filter((value) => value instanceof Resource));
      }
    }
    for (const rid of this.#cache.keys()) {
      if (!reached.has(rid)) {
        this.#cache.delete(rid);
      }
    }
  }
}

/** The resources of a set: ID and content of each. */
function* contents({ collections = {}, models = {}, errors = {} }) {
  for (const [rid, items] of Object.entries(collections)) yield [rid, { items }];
  for (const [rid, values] of Object.entries(models)) yield [rid, { values }];
  for (const [rid, error] of Object.entries(errors)) yield [rid, { error }];
}

/** A value as pages see it: references are resources, data is what it holds. */
function read(value, refer) {
  if (value === null || typeof value !== "object") return value;
  if (value.action === "delete") return undefined;
  if (value.rid !== undefined) return value.soft ? value : refer(value.rid);
  return value.data;
}

function mapValues(values, change) {
  const changed = Object.entries(values).map(([name, value]) => [name, change(value)]);
  return Object.fromEntries(changed);
}

function changeValues(resource, values) {
  const old = {};
  for (const [name, value] of Object.entries(values)) {
    if (!isSame(resource.values[name], value)) {
      old[name] = resource.values[name];
      resource.values[name] = value;
      if (value === undefined) delete resource.values[name];
    }
  }
  if (Object.keys(old).length > 0) {
    const changed = Object.keys(old).map((name) => [name, values[name]]);
    resource.emit("change", { values: Object.fromEntries(changed), old });
  }
}

/** Makes a list what it is now, by events: what differs between a common beginning and end. */
function replaceItems(resource, now) {
  const { items } = resource;
  let head = 0;
  while (head < items.length && head < now.length && isSame(items[head], now[head])) head += 1;
  let tail = 0;
  const most = Math.min(items.length, now.length) - head;
  while (tail < most && isSame(items.at(-1 - tail), now.at(-1 - tail))) tail += 1;
  for (let idx = items.length - tail - 1; idx >= head; idx -= 1) {
    const [value] = items.splice(idx, 1);
    resource.emit("remove", { idx, value });
  }
  for (let idx = head; idx < now.length - tail; idx += 1) {
    items.splice(idx, 0, now[idx]);
    resource.emit("add", { idx, value: now[idx] });
  }
}

function isSame(one, other) {
  const isData = (value) => typeof value === "object" && !(value instanceof Resource);
  return one === other || (isData(one) && isData(other) && sameText(one, other));
}

const sameText = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** A resource as JSON. One that leads back to itself is named there. */
function plain(resource, path) {
  if (resource.error || path.has(resource)) {
    return { rid: resource.rid };
  }
  path.add(resource);
  const inner = (value) => (value instanceof Resource ? plain(value, path) : value);
  const result = resource.items?.map(inner) ?? mapValues(resource.values ?? {}, inner);
  path.delete(resource);
  return result;
}
