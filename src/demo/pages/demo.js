// The page: four things that are live, and the frames that make them so.

import { connect } from "/tidegate.js";

const byId = (id) => document.getElementById(id);
const facts = await (await fetch("/demo.json")).json();

/** An element with a text. Whatever others have written gets onto the page this way only. */
function make(tag, text, className) {
  const element = document.createElement(tag);
  element.textContent = text;
  if (className) element.className = className;
  return element;
}

/** Shows why something was refused, or that nothing was. */
function complain(id, error) {
  byId(id).textContent = error?.message ?? "";
  byId(id).hidden = !error;
}

const client = connect(new URL(facts.wsPath, location.href), { prepare: () => enter() });
const badge = byId("badge");
const setBadge = (state, text) => {
  badge.dataset.state = state;
  badge.textContent = text;
};
client.on("open", () => setBadge("live", "Live"));
client.on("close", () => setBadge("lost", "Reconnecting…"));

for (const link of [byId("console-link"), byId("console-words")]) link.href = facts.consolePath;
wire();
commands();
// A part that cannot begin does not keep the others from it.
for (const begin of [books, tide, chat, elements]) {
  begin().catch((error) => setBadge("lost", error.message));
}

// Books

async function books() {
  const shelf = byId("shelf");
  const collection = await client.subscribe("demo.books");
  const cards = [];
  let removed;

  const insert = ({ idx, value }) => {
    const card = bookCard(value, remove);
    shelf.insertBefore(card.element, cards[idx]?.element ?? null);
    cards.splice(idx, 0, card);
    return card;
  };
  collection.items.forEach((value, idx) => insert({ idx, value }));
  collection.on("add", (data) => flash(insert(data).element, "added"));
  collection.on("remove", ({ idx }) => {
    const [card] = cards.splice(idx, 1);
    const hadFocus = card.element.contains(document.activeElement);
    card.end();
    if (hadFocus) byId("books-title").focus();
  });

  async function remove(book) {
    const { id, title } = book.values;
    try {
      await collection.call("delete", { id });
      removed = id;
      byId("undo-text").textContent = `“${title}” was deleted.`;
      byId("undo").hidden = false;
      byId("undo-button").focus();
      complain("books-problem");
    } catch (error) {
      complain("books-problem", error);
    }
  }

  byId("undo-button").addEventListener("click", async () => {
    byId("undo").hidden = true;
    byId("books-title").focus();
    try {
      (await collection.call("restore", { id: removed })).release();
    } catch (error) {
      complain("books-problem", error);
    }
  });

  byId("add-book").addEventListener("submit", async (event) => {
    event.preventDefault();
    const [title, author] = [byId("new-title"), byId("new-author")];
    try {
      const book = await collection.call("add", { title: title.value, author: author.value });
      book.release();
      title.value = author.value = "";
      title.focus();
      complain("books-problem");
    } catch (error) {
      complain("books-problem", error);
    }
  });
}

/** A book on the shelf, and the form that edits it in its place. */
function bookCard(book, onRemove) {
  const element = byId("book").content.firstElementChild.cloneNode(true);
  const find = (name) => element.querySelector(`.${name}`);
  const inputs = { title: find("title-input"), author: find("author-input") };
  const show = () => {
    const { id = 0, title = "This book cannot be shown", author = "" } = book.values ?? {};
    find("title").textContent = find("cover").firstChild.textContent = title;
    find("author").textContent = author;
    // The golden angle keeps the colours of neighbours apart.
    find("cover").style.setProperty("--hue", String((id * 137.5 + 40) % 360));
    find("edit").setAttribute("aria-label", `Edit ${title}`);
    find("delete").setAttribute("aria-label", `Delete ${title}`);
  };
  const edit = (isOpen) => {
    find("view").hidden = isOpen;
    find("editor").hidden = !isOpen;
    element.classList.toggle("editing", isOpen);
    if (isOpen) {
      for (const [name, input] of Object.entries(inputs)) input.value = book.values[name];
      inputs.title.select();
    } else {
      find("edit").focus();
    }
  };
  const off = book.on("change", ({ old }) => {
    // An open form follows in the fields that nobody has touched.
    for (const [name, input] of Object.entries(inputs)) {
      if (name in old && input.value === old[name]) input.value = book.values[name];
    }
    show();
    flash(element, "changed");
  });
  find("edit").addEventListener("click", () => edit(true));
  find("cancel").addEventListener("click", () => edit(false));
  find("delete").addEventListener("click", () => onRemove(book));
  element.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !find("editor").hidden) edit(false);
  });
  find("editor").addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await book.call("set", { title: inputs.title.value, author: inputs.author.value });
      edit(false);
      complain("books-problem");
    } catch (error) {
      complain("books-problem", error);
    }
  });
  show();
  return {
    element,
    end() {
      off();
      element.remove();
    },
  };
}

/** Marks an element for a moment. */
function flash(element, name) {
  element.classList.remove(name);
  void element.offsetWidth;
  element.classList.add(name);
}

// The tide

async function tide() {
  const [gauges, gate] = await Promise.all([
    client.subscribe("demo.tide"),
    client.subscribe("demo.tide.gate"),
  ]);
  for (const gauge of gauges.items) {
    const element = document.createElement("li");
    const water = make("div", "", "water");
    const glass = make("div", "", "glass");
    const level = make("span", "", "level");
    glass.append(water);
    element.append(glass, make("b", gauge.values.name), level);
    const show = () => {
      const { level: now, range, rising } = gauge.values;
      water.style.setProperty("--level", String((now / range + 1) / 2));
      const sign = now < 0 ? "−" : "+";
      level.textContent = `${rising ? "↑" : "↓"} ${sign}${(Math.abs(now) / 100).toFixed(2)} m`;
    };
    gauge.on("change", show);
    show();
    byId("gauges").append(element);
  }
  const button = byId("gate");
  const show = () => {
    const { open } = gate.values;
    button.classList.toggle("open", open);
    button.lastChild.textContent = open ? "Close the gate" : "Open the gate";
    byId("gate-state").textContent = `It is ${open ? "open" : "closed"}, in all windows.`;
    byId("gauges").lastElementChild.classList.toggle("closed", !open);
  };
  gate.on("change", show);
  show();
  button.addEventListener("click", () => gate.call("set", { open: !gate.values.open }));
}

// The chat

/** Says who we are, if we have said so before: also on each new connection. */
async function enter(name = sessionStorage.getItem("name")) {
  if (!name) return;
  let key = sessionStorage.getItem("key");
  if (!key) {
    // By it a new connection of this window gets the name back.
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    key = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    sessionStorage.setItem("key", key);
  }
  try {
    const { name: taken } = await client.auth("demo.chat", "login", { name, key });
    sessionStorage.setItem("name", taken);
    setMe(taken);
    complain("chat-problem");
  } catch (error) {
    setMe(null);
    complain("chat-problem", error);
  }
}

function setMe(name) {
  if (!name) sessionStorage.removeItem("name");
  byId("me").textContent = name ?? "";
  byId("login").hidden = Boolean(name);
  byId("speak").hidden = !name;
}

async function chat() {
  const list = byId("messages");
  const [messages, people] = await Promise.all([
    client.subscribe("demo.chat.messages"),
    client.subscribe("demo.chat.people"),
  ]);
  const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
  const add = ({ idx, value: { from, text, at } }) => {
    const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    const item = document.createElement("p");
    item.append(make("bdi", from), make("time", time.format(at)), make("bdi", text, "text"));
    item.classList.toggle("mine", from === byId("me").textContent);
    list.insertBefore(item, list.children[idx] ?? null);
    if (isAtEnd) list.scrollTop = list.scrollHeight;
  };
  messages.items.forEach((value, idx) => add({ idx, value }));
  messages.on("add", add);
  messages.on("remove", ({ idx }) => list.children[idx].remove());

  const show = () => {
    const names = people.items.map((name) => {
      const chip = make("bdi", name);
      chip.setAttribute("role", "listitem");
      return chip;
    });
    byId("people").replaceChildren(...names);
    byId("people-label").textContent = names.length ? "Here now:" : "Nobody is here yet.";
  };
  people.on("*", show);
  show();

  byId("login").addEventListener("submit", async (event) => {
    event.preventDefault();
    await enter(byId("name").value);
    if (!byId("speak").hidden) byId("text").focus();
  });
  byId("speak").addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await messages.call("send", { text: byId("text").value });
      byId("text").value = "";
      complain("chat-problem");
    } catch (error) {
      if (error.code === "system.accessDenied") setMe(null);
      complain("chat-problem", error);
    }
  });
  const leave = () => client.auth("demo.chat", "logout").catch(() => {});
  byId("leave").addEventListener("click", async () => {
    await leave();
    setMe(null);
    byId("name").focus();
  });
  // The service takes whoever is silent for gone.
  setInterval(() => {
    if (byId("me").textContent && client.isOpen) people.call("stay").catch(() => {});
  }, 25_000);
  addEventListener("pagehide", () => {
    if (byId("me").textContent && client.isOpen) leave();
  });
}

// The elements

async function elements() {
  const table = byId("table");
  let from = 0;
  let shown;
  let latest = 0;

  const row = (element) => {
    const item = document.createElement("li");
    const star = make("button", "");
    star.type = "button";
    const { number, symbol, name } = element.values;
    const show = () => {
      star.textContent = `★ ${element.values.stars}`;
      star.setAttribute("aria-label", `Give ${name} a star; it has ${element.values.stars}`);
    };
    star.addEventListener("click", () => element.call("star"));
    item.append(make("small", number), make("b", symbol), make("span", name), star);
    show();
    return { item, off: element.on("change", show) };
  };

  async function load() {
    const mine = ++latest;
    const search = new URLSearchParams({ q: byId("query").value, sort: byId("sort").value });
    const rid = `demo.elements?${search}&from=${from}`;
    const [page, total] = await Promise.all([
      client.subscribe(rid),
      client.get(`demo.elements.count?${new URLSearchParams({ q: byId("query").value })}`),
    ]);
    if (mine !== latest) {
      page.release();
      return;
    }
    shown?.end();
    shown = show(page);
    byId("elements-rid").textContent = rid;
    const to = Math.min(from + total.page, total.count);
    byId("count").textContent = total.count ? `${from + 1} to ${to} of ${total.count}` : "None found";
    byId("before").disabled = from === 0;
    byId("after").disabled = to >= total.count;
    byId("before").onclick = () => go(Math.max(0, from - total.page));
    byId("after").onclick = () => go(from + total.page);
  }

  function show(page) {
    const rows = [];
    const add = ({ idx, value }) => {
      const added = row(value);
      table.insertBefore(added.item, rows[idx]?.item ?? null);
      rows.splice(idx, 0, added);
      return added.item;
    };
    const remove = ({ idx }) => {
      const [{ item, off }] = rows.splice(idx, 1);
      off();
      item.remove();
    };
    table.replaceChildren();
    page.items.forEach((value, idx) => add({ idx, value }));
    const offs = [page.on("add", (data) => flash(add(data), "added")), page.on("remove", remove)];
    return {
      end() {
        offs.forEach((off) => off());
        rows.forEach(({ off }) => off());
        page.release();
      },
    };
  }

  const go = (place) => {
    from = place;
    return load();
  };
  byId("query").addEventListener("input", () => go(0));
  byId("sort").addEventListener("change", () => go(0));
  byId("search").addEventListener("submit", (event) => event.preventDefault());
  await load();
}

// The wire

/** Frames that are kept, and characters of each that are shown. */
function wire(kept = 60, most = 1200) {
  const list = byId("frames");
  const topics = {
    books: /demo\.book/,
    tide: /demo\.tide/,
    chat: /demo\.chat/,
    elements: /demo\.element/,
  };
  // The tide would drown the others.
  const hidden = new Set(["tide"]);
  const asked = new Map();

  for (const name of Object.keys(topics)) {
    const box = document.createElement("input");
    const label = make("label", "");
    box.type = "checkbox";
    box.checked = !hidden.has(name);
    box.addEventListener("change", () => {
      hidden[box.checked ? "delete" : "add"](name);
      list.classList.toggle(`no-${name}`, !box.checked);
    });
    list.classList.toggle(`no-${name}`, !box.checked);
    label.append(box, name);
    document.querySelector(".filters").append(label);
  }

  client.on("frame", ({ sent, text }) => {
    const { id, method, event, error } = JSON.parse(text);
    if (method) asked.set(id, method);
    const what = event ?? method ?? asked.get(id) ?? "";
    if (!method && id) asked.delete(id);
    const topic = Object.keys(topics).find((name) => topics[name].test(what)) ?? "other";
    const kind = method ? "asks" : event ? "event" : error ? "refused" : "answer";
    const item = make("li", "", kind);
    item.dataset.topic = topic;
    const title = make("p", `${sent ? "→" : "←"} ${kind === "asks" ? "page asks" : kind} `);
    title.append(make("b", what));
    item.append(title, make("code", text.length > most ? `${text.slice(0, most)} …` : text));
    list.prepend(item);
    // Of what is hidden little is kept, and never at the cost of what is seen.
    const same = list.querySelectorAll(`[data-topic="${topic}"]`);
    if (same.length > kept / 3) same[same.length - 1].remove();
    if (!hidden.has(topic)) byId("wire-last").textContent = `${sent ? "→" : "←"} ${what}`;
  });

  const toggle = byId("wire-toggle");
  toggle.addEventListener("click", () => {
    const isOpen = byId("wire").classList.toggle("open");
    toggle.setAttribute("aria-expanded", String(isOpen));
  });
}

// What to type

function commands() {
  const api = `${location.origin}${facts.apiPath}demo`;
  const socket = `${location.origin.replace("http", "ws")}${facts.wsPath}`;
  const isUsual = socket === "ws://127.0.0.1:8080/";
  const tidegate = `${isUsual ? "" : `TIDEGATE_URL=${socket} `}${facts.program}`;
  const watch = (rid) => `${tidegate} watch '${rid}'`;
  const stream = (url) => `curl -N -H 'Accept: text/event-stream' '${url}'`;
  const nats = `nats://${facts.broker}`;
  const all = {
    books: [
      ["Read them over HTTP", `curl ${api}/books`],
      [
        "Add one, and see it appear here",
        `curl -d '{"title":"Dracula","author":"Bram Stoker"}' ${api}/books/add`,
      ],
      ["Follow it in a terminal", watch("demo.books")],
      [
        "The service’s line when a title changes",
        `publish("event.demo.book.1.change", {"values": {"title": "The Whale"}})`,
      ],
    ],
    tide: [
      ["Read all gauges over HTTP", `curl ${api}/tide`],
      ["Close the gate", `curl -d '{"open":false}' ${api}/tide/gate/set`],
      ["Follow a gauge in a terminal", watch("demo.tide.dover")],
      ["The same with curl, as a stream of events", stream(`${api}/tide/dover`)],
      [
        "The service’s line for a reading",
        `publish("event.demo.tide.dover.change", {"values": {"level": 121}})`,
      ],
    ],
    chat: [
      ["Read it over HTTP", `curl ${api}/chat/messages`],
      [
        "Speak without a name: it is refused",
        `curl -d '{"text":"Hello?"}' ${api}/chat/messages/send`,
      ],
      ["Follow it in a terminal", watch("demo.chat.messages")],
      [
        "Say who you are, and speak",
        `${tidegate} call demo.chat.messages send --params '{"text":"Hello!"}'` +
          ` --auth demo.chat.login --auth-params '{"name":"Terminal"}'`,
      ],
      [
        "The service’s line that gives a connection its token",
        `publish("conn." + cid + ".token", {"token": {"name": "Ann"}})`,
      ],
    ],
    elements: [
      ["Search over HTTP", `curl '${api}/elements?q=on&sort=name'`],
      ["Give iron a star", `curl -X POST ${api}/element/26/star`],
      ["Follow a query in a terminal", watch("demo.elements?sort=stars")],
      ["The same with curl, as a stream of events", stream(`${api}/elements?sort=stars`)],
      [
        "The service’s line when queries may have changed",
        `publish("event.demo.elements.query", {"subject": "query.demo.elements"})`,
      ],
    ],
    own: own(nats, api, watch, stream),
  };
  for (const place of document.querySelectorAll("[data-try]")) {
    for (const [title, command] of all[place.dataset.try]) {
      const block = make("div", "", "command");
      const copy = make("button", "Copy");
      copy.type = "button";
      copy.setAttribute("aria-label", `Copy: ${title}`);
      copy.addEventListener("click", async () => {
        await navigator.clipboard?.writeText(command).catch(() => {});
        copy.textContent = "Copied";
        setTimeout(() => (copy.textContent = "Copy"), 1500);
      });
      const code = document.createElement("pre");
      code.append(make("code", command));
      code.tabIndex = 0;
      code.setAttribute("aria-label", title);
      block.append(make("p", title), copy, code);
      place.append(block);
    }
  }
}

function own(nats, api, watch, stream) {
  // The indentation of this file is left out when it is compiled in.
  const node = [
    'import { connect } from "nats";',
    "",
    `const nats = await connect({ servers: "${nats}" });`,
    "const model = { count: 0 };",
    "const on = (subject, answer) => {",
    "  const callback = (_, request) => request.respond(JSON.stringify({ result: answer() }));",
    "  nats.subscribe(subject, { callback });",
    "};",
    "",
    'on("access.own.counter", () => ({ get: true, call: "*" }));',
    'on("get.own.counter", () => ({ model }));',
    'on("call.own.counter.up", () => {',
    "  model.count += 1;",
    '  nats.publish("event.own.counter.change", JSON.stringify({ values: model }));',
    "  return model.count;",
    "});",
  ].join("\n");
  const page = [
    "<!doctype html>",
    "<output></output>",
    '<script type="module">',
    `  import { connect } from "${location.origin}/tidegate.js";`,
    `  const counter = await connect("${location.origin}").subscribe("own.counter");`,
    '  const show = () => (document.querySelector("output").value = counter.values.count);',
    '  counter.on("change", show);',
    "  show();",
    "</script>",
  ].join("\n");
  const url = api.replace(/demo$/, "own/counter");
  return [
    ["counter.mjs: npm install nats@2, then node counter.mjs", node],
    ["Count", `curl -X POST ${url}/up`],
    ["See it", watch("own.counter")],
    ["See it with curl", stream(url)],
    ["counter.html: a page of your own, opened from a file", page],
  ];
}
