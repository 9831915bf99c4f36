// Looking at resources and at clients.

import { Resource } from "./tidegate.js";
import { byId, fill, link, make, pager, row, time } from "./parts.js";
import { number } from "./plots.js";

/** Rows of a log, and values of a resource, that are shown. */
const LOG_MAX = 200;
const VALUES_MAX = 500;

/** Marks an element for a moment. */
function flash(element) {
  element.classList.remove("changed");
  void element.offsetWidth;
  element.classList.add("changed");
}

/** Adds to the beginning of a log. */
function note(log, entry) {
  log.prepend(entry);
  while (log.children.length > LOG_MAX) log.lastChild.remove();
}

/** JSON over several lines, if it is long. */
function pretty(value) {
  const text = JSON.stringify(value);
  return text === undefined ? "nothing" : text.length > 60 ? JSON.stringify(value, null, 2) : text;
}

/** A value that refers to nothing. */
function plain(value) {
  if (value?.soft) {
    const soft = make("span");
    soft.append(link("look", value.rid), make("small", " soft"));
    return soft;
  }
  const type = value === null ? "null" : typeof value;
  return make("code", type === "object" ? pretty(value) : JSON.stringify(value), `value ${type}`);
}

/** A resource as a tree: it is kept in step until `end` is called. */
class Tree {
  element = make("ul");
  #resource;
  #rows = [];
  #off = [];

  constructor(resource) {
    this.#resource = resource;
    const add = (event, listener) => this.#off.push(resource.on(event, listener));
    if (resource.error) {
      this.element = make("p", `${resource.error.code}: ${resource.error.message}`, "problem");
    } else if (resource.items) {
      add("add", ({ idx }) => flash(this.#insert(idx)));
      add("remove", ({ idx }) => this.#remove(idx));
    } else {
      add("change", ({ values }) => this.#change(Object.keys(values)));
    }
    this.#begin();
  }

  end() {
    for (const off of this.#off) off();
    for (const row of this.#rows) row.tree?.end();
  }

  #begin() {
    const { items, values } = this.#resource;
    const keys = items ? [...items.keys()] : Object.keys(values ?? {}).sort();
    keys.slice(0, VALUES_MAX).forEach((key, place) => this.#put(place, key, (items ?? values)[key]));
    this.#count(keys.length);
  }

  /** Says how many values there are beyond those that are shown. */
  #count(length) {
    this.more?.remove();
    if (length > this.#rows.length) {
      this.more = make("li", `and ${number(length - this.#rows.length)} more`, "none");
      this.element.append(this.more);
    } else if (length === 0 && !this.#resource.error) {
      this.more = make("li", "empty", "none");
      this.element.append(this.more);
    }
  }

  #put(place, key, value) {
    const row = { key, element: make("li"), name: make("span", key, "key"), tree: null };
    this.element.insertBefore(row.element, this.#rows[place]?.element ?? this.more ?? null);
    this.#rows.splice(place, 0, row);
    this.#show(row, value);
    return row.element;
  }

  #show(row, value) {
    row.tree?.end();
    row.tree = null;
    if (!(value instanceof Resource)) {
      row.element.replaceChildren(row.name, plain(value));
      return;
    }
    const button = make("button", "", "toggle");
    button.type = "button";
    button.append(row.name, make("span", value.error ? "error" : value.type, "kind"));
    button.setAttribute("aria-expanded", "false");
    button.addEventListener("click", () => {
      if (row.tree) {
        row.tree.end();
        row.tree.element.remove();
        row.tree = null;
      } else {
        row.tree = new Tree(value);
        row.element.append(row.tree.element);
      }
      button.setAttribute("aria-expanded", String(row.tree !== null));
    });
    row.element.replaceChildren(button, link("look", value.rid));
  }

  #change(names) {
    for (const name of names) {
      const place = this.#rows.findIndex((row) => row.key === name);
      const isThere = name in this.#resource.values;
      if (isThere && place >= 0) {
        this.#show(this.#rows[place], this.#resource.values[name]);
        flash(this.#rows[place].element);
      } else if (isThere && this.#rows.length < VALUES_MAX) {
        const behind = this.#rows.findIndex((row) => row.key > name);
        const at = behind < 0 ? this.#rows.length : behind;
        flash(this.#put(at, name, this.#resource.values[name]));
      } else if (!isThere && place >= 0) {
        this.#drop(place);
      }
    }
    this.#count(Object.keys(this.#resource.values).length);
  }

  #drop(place) {
    const [row] = this.#rows.splice(place, 1);
    row.tree?.end();
    row.element.remove();
  }

  #insert(idx) {
    const { items } = this.#resource;
    let element = make("li");
    if (idx < VALUES_MAX) element = this.#put(idx, idx, items[idx]);
    if (this.#rows.length > VALUES_MAX) this.#drop(VALUES_MAX);
    this.#number();
    return element;
  }

  #remove(idx) {
    const { items } = this.#resource;
    if (idx < this.#rows.length) this.#drop(idx);
    const last = this.#rows.length;
    if (last < VALUES_MAX && last < items.length) this.#put(last, last, items[last]);
    this.#number();
  }

  #number() {
    this.#rows.forEach((row, place) => {
      row.key = place;
      row.name.textContent = place;
    });
    this.#count(this.#resource.items.length);
  }
}

/** A list of `$tidegate` with pages: `rid(from)` names one, `show` gets its values. */
async function pages(client, id, rid, show) {
  let resource = null;
  let off = () => {};
  const go = async (from) => {
    const before = resource;
    off();
    resource = await client.subscribe(rid(from));
    before?.release();
    const tell = () => {
      show(resource.values);
      pager(id, from, resource.values.next, go);
    };
    off = resource.on("change", tell);
    tell();
  };
  await go(0);
  return () => {
    off();
    resource.release();
  };
}

export function views(client) {
  return {
    look: (rid, isWanted) => look(client, rid, isWanted),
    clients: () => clients(client),
    client: (cid, isWanted) => oneClient(client, cid, isWanted),
  };
}

// A resource

const recent = [];

byId("open").addEventListener("submit", (event) => {
  event.preventDefault();
  const hash = `#look/${encodeURIComponent(byId("rid").value.trim())}`;
  if (location.hash === hash) dispatchEvent(new HashChangeEvent("hashchange"));
  else location.hash = hash;
});

async function look(client, rid, isWanted) {
  const ends = [];
  const end = () => ends.splice(0).forEach((it) => it());
  byId("looked").hidden = true;
  byId("look-problem").textContent = "";
  if (rid === "") {
    byId("rid").focus();
    return end;
  }
  byId("rid").value = rid;
  listen(client, rid, ends);
  let resource;
  try {
    resource = await client.subscribe(rid);
  } catch (error) {
    byId("look-problem").textContent = `${rid}: ${error.message} (${error.code})`;
    // It may be seen after a login.
    byId("tree-title").textContent = rid;
    byId("tree").replaceChildren();
    byId("facts").textContent = "";
  }
  if (!isWanted()) {
    resource?.release();
    return end;
  }
  if (!recent.includes(rid)) {
    recent.push(rid);
    byId("recent").append(new Option(rid));
  }
  byId("looked").hidden = false;
  ask(client, rid);
  if (resource) {
    ends.push(() => resource.release());
    plant(resource, ends);
  }
  const encoded = encodeURIComponent(rid);
  try {
    const facts = await client.subscribe(`$tidegate.resource?rid=${encoded}`);
    const tell = () => {
      const { kind, bytes, length, holders, aliases } = facts.values;
      const others = aliases > 0 ? `; ${number(aliases)} other IDs mean the same` : "";
      const what = `${kind}, ${number(length)} values, ${number(bytes, "bytes")}`;
      const held = holders === 1 ? "1 client" : `${number(holders)} clients`;
      byId("facts").textContent = kind ? `${what}; held by ${held}${others}` : "Not cached.";
    };
    ends.push(facts.on("change", tell), () => facts.release());
    tell();
    const holders = (from) => `$tidegate.resource.holders?rid=${encoded}&from=${from}`;
    ends.push(
      await pages(client, "holders-pager", holders, ({ rows }) => {
        const list = rows.map(({ cid, direct, references, state }) =>
          row(link("client", cid), number(direct), number(references), state),
        );
        fill("holders", list, "Nobody.");
      }),
    );
  } catch (error) {
    byId("look-problem").textContent = error.message;
  }
  return end;
}

/** Shows a resource, and what ends it. */
function plant(resource, ends) {
  byId("tree-title").textContent = resource.rid;
  const tree = new Tree(resource);
  byId("tree").replaceChildren(tree.element);
  const over = (text) => () => {
    byId("look-problem").textContent = text;
  };
  ends.push(
    () => tree.end(),
    resource.on("delete", over("The resource was deleted.")),
    resource.on("unsubscribe", ({ reason }) => over(`Access was withdrawn: ${reason?.message}`)()),
  );
}

/** Shows the events of what is looked at. Nothing else of services is subscribed to here. */
function listen(client, rid, ends) {
  const log = byId("events");
  log.replaceChildren();
  const isOwn = rid.startsWith("$tidegate.");
  const off = client.on("frame", ({ sent, text }) => {
    const { event, data } = sent ? {} : JSON.parse(text);
    const isMeant = isOwn ? event?.startsWith(`${rid}.`) : event && !event.startsWith("$tidegate.");
    if (!isMeant || byId("events-pause").checked) return;
    const entry = make("div", "", "event");
    const head = make("p", `${time()} `);
    head.append(make("b", event));
    entry.append(head, make("code", JSON.stringify(data)?.slice(0, 2000) ?? ""));
    note(log, entry);
  });
  ends.push(off);
}

/** Calls methods, or logs in. */
function ask(client, rid) {
  const result = byId("ask-result");
  result.hidden = true;
  byId("ask-rid").value = rid;
  byId("ask").onsubmit = async (event) => {
    event.preventDefault();
    const [kind, target, method, params] = ["kind", "rid", "method", "params"].map(
      (name) => byId(`ask-${name}`).value,
    );
    const say = (text, isBad) => {
      result.textContent = text;
      result.hidden = false;
      result.classList.toggle("problem", isBad);
    };
    let given;
    try {
      given = params.trim() ? JSON.parse(params) : undefined;
    } catch (error) {
      return say(`The parameters are no JSON: ${error.message}`, true);
    }
    try {
      const answer = await client[kind](target, method, given);
      if (answer instanceof Resource) {
        say("", false);
        result.append("resource ", link("look", answer.rid));
        answer.release();
      } else {
        say(answer === undefined || answer === null ? "Done." : pretty(answer), false);
      }
    } catch (error) {
      say(`${error.code}: ${error.message}`, true);
    }
  };
}

// Clients

byId("find").addEventListener("submit", (event) => {
  event.preventDefault();
  location.hash = `#client/${encodeURIComponent(byId("cid").value.trim())}`;
});

async function clients(client) {
  const rid = (from) => `$tidegate.clients?from=${from}`;
  return pages(client, "clients-pager", rid, ({ rows, total }) => {
    byId("clients-count").textContent = `${number(total)} connected`;
    const list = rows.map(({ cid, transport, remote, direct, token }) =>
      row(link("client", cid), transport, remote, number(direct), token ? "yes" : "no"),
    );
    fill("clients-rows", list, "None in this part of the list.");
  });
}

const FACTS = {
  remote: "Address",
  transport: "Transport",
  direct: "Subscribed to directly",
  token: "Has a token",
  asking: "Waits for an answer",
  waitingBytes: "Waits with its requests",
  queuedBytes: "Waits to be sent to it",
};

async function oneClient(client, cid, isWanted) {
  const ends = [];
  const end = () => ends.splice(0).forEach((it) => it());
  byId("client-title").textContent = cid;
  byId("client-problem").textContent = "";
  byId("frames").replaceChildren();
  let resource;
  try {
    resource = await client.subscribe(`$tidegate.client.${cid}`);
  } catch (error) {
    byId("client-parts").hidden = true;
    byId("client-problem").textContent =
      error.code === "system.notFound" ? "No such client is connected." : error.message;
    return end;
  }
  ends.push(() => resource.release());
  if (!isWanted()) return end;
  byId("client-parts").hidden = false;
  const tell = () => {
    const { values } = resource;
    byId("client-problem").textContent = values.connected ? "" : "It has disconnected.";
    const rows = Object.entries(FACTS).map(([name, text]) => {
      const value = values[name];
      const unit = name.endsWith("Bytes") ? "bytes" : "";
      const words = { true: "yes", false: "no" }[value];
      return row(text, words ?? (typeof value === "number" ? number(value, unit) : value));
    });
    byId("client-facts").replaceChildren(...rows);
  };
  ends.push(resource.on("change", tell));
  tell();
  trace(resource, ends);
  const rid = (from) => `$tidegate.client.${cid}.holds?from=${from}`;
  try {
    ends.push(
      await pages(client, "holds-pager", rid, ({ rows }) => {
        const list = rows.map(({ rid: held, direct, references, state }) =>
          row(link("look", held), number(direct), number(references), state),
        );
        fill("holds", list, "Nothing.");
      }),
    );
  } catch (error) {
    byId("client-problem").textContent = error.message;
  }
  return end;
}

/** The frames of a client, for a while. */
function trace(resource, ends) {
  const [button, state, log] = [byId("trace"), byId("trace-state"), byId("frames")];
  const isTraced = () => {
    button.disabled = resource.values.traced || !resource.values.connected;
  };
  button.onclick = async () => {
    try {
      const { seconds } = await resource.call("trace");
      state.textContent = `Its frames are shown for ${seconds} seconds.`;
      button.disabled = true;
    } catch (error) {
      state.textContent = error.message;
    }
  };
  const left = (count) => (count > 0 ? `; ${number(count)} came too fast to be shown` : "");
  ends.push(
    resource.on("change", isTraced),
    resource.on("frame", ({ time: at, isRequest, bytes, text, leftOut }) => {
      const entry = make("div", "", isRequest ? "asks" : text.startsWith('{"event"') ? "event" : "");
      const way = isRequest ? "sent by it" : "sent to it";
      entry.append(make("p", `${time(at)} · ${way} · ${number(bytes, "bytes")}`), make("code", text));
      note(log, entry);
      if (leftOut > 0) state.textContent = `Its frames are shown${left(leftOut)}.`;
    }),
    resource.on("traceEnd", ({ leftOut }) => {
      state.textContent = `The minute is over${left(leftOut)}.`;
      button.disabled = false;
    }),
  );
  state.textContent = "What it sends and is sent, with tokens masked, and of logins no parameters.";
  isTraced();
}
