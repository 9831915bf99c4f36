// A connection for ResClient that comes back with what it has: Tidegate then sends what is
// another by now and leaves out the rest, which is put in place here.
//
//   const client = new ResClient(remember(() => new WebSocket(url), () => client.cache));
//
// With a gateway that does not know `have`, all is as without it.

const MOST = 300_000; // Characters that are said of what there is; a message may have 1 MiB.
const GROUPS = ["models", "collections", "errors"];

/** Makes what opens a connection of `connect`, which opens one, and of what tells the cache. */
export function remember(connect, cache) {
  const tags = new Map(); // Of what the cache has as it was sent.
  return () => {
    const socket = connect();
    const send = socket.send.bind(socket);
    const asked = new Map(); // What was asked for, by request ID.
    let had = new Map(); // What we said that we have, until it is handed out.
    let handler;

    socket.send = (text) => {
      const request = JSON.parse(text);
      if (request.method === "version") {
        had = known(tags, cache());
        const have = Object.fromEntries([...had.keys()].map((rid) => [rid, tags.get(rid)]));
        return send(JSON.stringify({ ...request, params: { ...request.params, have } }));
      }
      const [, rid] = /^(?:subscribe|get)\.(.*)$/s.exec(request.method) ?? [];
      if (rid && had.size) asked.set(request.id, rid);
      send(text);
    };

    /** Notes what a message brings, and puts in place what it leaves out. */
    function take(text) {
      const message = JSON.parse(text);
      const [, rid, event] = /^(.*)\.(.*)$/s.exec(message.event ?? "") ?? [];
      if (["change", "add", "remove", "delete"].includes(event)) tags.delete(rid);
      const set = event ? /^(change|add)$/.test(event) && message.data : message.result;
      const root = asked.get(message.id) ?? set?.rid;
      asked.delete(message.id);
      const open = [root];
      for (const group of set ? GROUPS : []) {
        for (const [rid, data] of Object.entries(set[group] ?? {})) {
          had.delete(rid);
          tags.delete(rid);
          if (set.etags?.[rid]) tags.set(rid, set.etags[rid]);
          if (group !== "errors") open.push(...references(data));
        }
      }
      if (!set?.same) return text;
      let left = set.same;
      while (left && open.length) {
        const rid = open.pop();
        const held = had.get(rid);
        if (!held) continue;
        had.delete(rid);
        left--;
        const data = content(held);
        (set[`${held.type}s`] ??= {})[rid] = data;
        open.push(...references(data));
      }
      if (!left) return JSON.stringify(message);
      // Never seen: better to begin anew, with nothing.
      tags.clear();
      socket.close();
    }

    socket.addEventListener("message", ({ data }) => {
      const text = take(data);
      if (text) handler?.({ data: text });
    });
    Object.defineProperty(socket, "onmessage", { set: (set) => (handler = set) });
    return socket;
  };
}

/** The items of the cache that stand there as they were sent; all other tags are forgotten. */
function known(tags, cache) {
  const items = new Map();
  let said = 0;
  for (const rid of tags.keys()) {
    if (!cache[rid]?.item) tags.delete(rid);
    else if ((said += rid.length + 40) < MOST) items.set(rid, cache[rid]);
  }
  return items;
}

/** The content of a model or collection as it was sent. */
function content({ type, item }) {
  if (type === "collection") return item.toArray().map(value);
  return Object.fromEntries(Object.entries(item.props).map(([name, it]) => [name, value(it)]));
}

function value(it) {
  if (it === null || typeof it !== "object") return it;
  if (it.getResourceId) return { rid: it.getResourceId() };
  return typeof it.get === "function" ? { rid: it.rid, soft: true } : { data: it };
}

function references(data) {
  return Object.values(data).flatMap((it) => (it?.rid && !it.soft ? [it.rid] : []));
}
