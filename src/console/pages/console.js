// The console: the connection, the views, and what is going on now.

import { connect } from "./tidegate.js";
import { Plot, number } from "./plots.js";
import { byId, fill, make, row } from "./parts.js";
import { views } from "./look.js";

/** Where the token is kept, for this tab only. */
const KEY = "tidegate.consoleToken";

const client = connect(new URL(document.body.dataset.ws, location.href), { prepare: enter });

/** Shows the token on each new connection, before anything is asked for. */
async function enter(connection) {
  const token = sessionStorage.getItem(KEY);
  if (token) {
    await connection.auth("$tidegate.console", "login", { token }).catch(() => {});
  }
}

const badge = byId("badge");
function setBadge(state, text) {
  badge.dataset.state = state;
  badge.textContent = text;
}
client.on("open", () => setBadge("live", "Live"));
client.on("close", () => setBadge("lost", "Reconnecting…"));

byId("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const token = byId("token").value;
  try {
    await client.auth("$tidegate.console", "login", { token });
    sessionStorage.setItem(KEY, token);
    location.reload();
  } catch (error) {
    byId("login-problem").textContent = error.message;
  }
});

// The views

const titles = { now: "Now", look: "Look", clients: "Clients", client: "Client" };
const all = { now, ...views(client) };
let leave = () => {};
let turn = 0;

/** Shows the view that the address names: `#look/` and a resource ID, for instance. */
async function show(isFirst) {
  const [, name = "now", rest = ""] = location.hash.match(/^#(\w+)(?:\/(.*))?$/) ?? [];
  if (name === "main") return;
  const view = all[name] ? name : "now";
  const mine = ++turn;
  leave();
  leave = () => {};
  for (const section of document.querySelectorAll("[data-view]")) {
    section.hidden = section.id !== view;
  }
  const tab = view === "client" ? "clients" : view;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${tab}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${titles[view]} · Tidegate console`;
  if (!isFirst) {
    byId(`${view}-title`).focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  const end = await all[view](decodeURIComponent(rest), () => mine === turn);
  // Another view may have been opened meanwhile.
  if (mine === turn) leave = end;
  else end();
}

try {
  const gateway = await client.subscribe("$tidegate.gateway");
  byId("version").textContent = gateway.values.version;
  addEventListener("hashchange", () => show(false));
  show(true);
} catch (error) {
  byId("login").hidden = false;
  byId("token").focus();
  if (error.code !== "system.accessDenied") byId("login-problem").textContent = error.message;
}

// Now

async function now() {
  const names = ["$tidegate.now", "$tidegate.history", "$tidegate.services"];
  const [figures, history, services] = await Promise.all(names.map((rid) => client.subscribe(rid)));
  const plots = PLOTS.map((plot) => new Plot(plot));
  byId("plots").replaceChildren(...plots.map((plot) => plot.element));
  const draw = () => plots.forEach((plot) => plot.draw(history.items));
  const tell = () => {
    tiles(figures.values);
    const list = DROPPED.map(([name, text]) => row(text, number(figures.values[name])));
    byId("dropped").replaceChildren(...list);
    if (byId("figures").closest("details").open) {
      const every = Object.entries(figures.values).sort(([one], [other]) => (one < other ? -1 : 1));
      byId("figures").replaceChildren(
        ...every.map(([name, value]) => row(make("code", name), String(value ?? "–"))),
      );
    }
  };
  const list = () => {
    const rows = services.values.rows.map(({ service, window, open, waiting }) =>
      row(service, number(window), number(open), number(waiting)),
    );
    fill("services", rows, "None was asked yet.");
  };
  const ends = [history.on("add", draw), figures.on("change", tell), services.on("change", list)];
  byId("figures").closest("details").ontoggle = tell;
  draw();
  tell();
  list();
  return () => {
    for (const end of ends) end();
    for (const resource of [figures, history, services]) resource.release();
  };
}

/** The figures that are seen first. */
function tiles(values) {
  const list = [
    ["NATS", values.natsConnected ? "connected" : `away for ${number(values.natsAwayMs, "ms")}`],
    ["Connections", number(values.connections)],
    ["Subscriptions", number(values.subscriptions)],
    ["Cached resources", number(values.cachedResources)],
    ["Events a second", number(values.eventsPerSecond)],
    ["Deliveries a second", number(values.deliveriesPerSecond)],
    ["Memory", number(values.memoryBytes, "bytes")],
  ];
  byId("tiles").replaceChildren(
    ...list.map(([name, value]) => {
      const tile = make("div", "", "tile");
      tile.append(make("dt", name), make("dd", value));
      return tile;
    }),
  );
  byId("tiles").firstChild.classList.toggle("bad", !values.natsConnected);
}

/** Title, unit, and the figures of each plot with what they are called. */
const PLOTS = [
  ["Connections", "", { connections: "all", webSockets: "WebSocket", streams: "streams" }],
  ["Subscriptions and resources", "", { subscriptions: "subscriptions", cachedResources: "cached" }],
  ["Events and deliveries, a second", "", { eventsPerSecond: "events", deliveriesPerSecond: "deliveries" }],
  [
    "Latency of services, on average",
    "ms",
    { accessMs: "access", getMs: "get", callMs: "call", authMs: "auth", queryMs: "query" },
  ],
  ["Requests to services", "", { requestsPerSecond: "a second", openRequests: "open", parkedRequests: "waiting" }],
  ["NATS messages, a second", "", { natsMessagesInPerSecond: "from services", natsMessagesOutPerSecond: "to services" }],
  ["Turn of the loop", "ms", { turnMs: "on average", turnMaxMs: "longest, up to" }],
  ["Bytes of clients, a second", "bytes", { clientBytesInPerSecond: "in", clientBytesOutPerSecond: "out" }],
  ["Memory of the process", "bytes", { memoryBytes: "resident" }],
];

const DROPPED = [
  ["closedSlow", "Closed: read too slowly"],
  ["closedSilent", "Closed: did not answer a ping"],
  ["closedIdle", "Closed: asked nothing for long"],
  ["closedOld", "Closed: connected for long (maxAge)"],
  ["closedForMemory", "Closed: buffers were full"],
  ["closedForToken", "Closed: token in doubt after NATS was away"],
  ["refusedConnections", "Refused: too many connections"],
  ["refusedConnectionsOfAddress", "Refused: too many of an address"],
  ["refusedRequests", "Refused: requests too fast"],
  ["refusedSubscriptions", "Refused: too many subscriptions"],
  ["timeouts", "Requests that no service answered in time"],
];
