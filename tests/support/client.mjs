// The published ResClient in Node, and how tests wait for what it hears.

import resclient from "resclient";
import WebSocket from "ws";
import { within } from "./programs.mjs";

const ResClient = resclient.default ?? resclient;
const open = new Set();

/**
 * A ResClient that is quick to reconnect and to unsubscribe. `options` are further ones of
 * its sockets; `onSend` is called with the method of each request that it sends.
 */
export function newClient(url, options = {}, onSend = () => {}) {
  const connect = () => {
    // Message by message, as browsers do it: ResClient takes up the answer to a call only
    // after the message was handled, and must have done so when the next one comes.
    const socket = new WebSocket(url, { allowSynchronousEvents: false, ...options });
    const send = socket.send.bind(socket);
    socket.send = (text) => {
      onSend(JSON.parse(text).method);
      send(text);
    };
    return socket;
  };
  const client = new ResClient(connect, {
    reconnectDelay: 50,
    unsubscribeDelay: 50,
  });
  open.add(client);
  return client;
}

/** Disconnects all clients, so that nothing keeps the test process alive. */
export function closeClients() {
  open.forEach((client) => {
    // ResClient has forgotten everything by the time that the last messages come.
    if (client.ws) {
      client.ws.onmessage = null;
    }
    client.disconnect();
  });
  open.clear();
}

/** The data of the next event of this name on a resource or a client. */
export function nextEvent(source, name) {
  let listener;
  const event = new Promise((resolve) => {
    listener = resolve;
    source.on(name, listener);
  });
  return within(event, () => `no ${name} event`).finally(() => source.off(name, listener));
}

/**
 * Follows a collection of models as an application does: listens to it and to each of
 * its models, and can wait until they look as expected.
 *
 * ResClient changes its resources at once and calls listeners a little later. Who looks
 * at the log after waiting must wait for the log.
 */
export class Replica {
  constructor(collection) {
    this.collection = collection;
    this.log = [];
    this.listeners = new Map();
    this.waiting = () => {};
    collection.on("add", ({ item, idx }) => {
      this.refollow(item);
      this.heard({ add: item.title, idx });
    });
    collection.on("remove", ({ item, idx }) => {
      this.refollow(item);
      this.heard({ remove: item.title, idx });
    });
    for (const model of collection) {
      this.follow(model);
    }
  }

  follow(model) {
    const listener = (old) => {
      const values = Object.keys(old).map((key) => [key, model[key]]);
      this.heard({ change: model.id, ...Object.fromEntries(values) });
    };
    model.on("change", listener);
    this.listeners.set(model, listener);
  }

  /** Listens to a model if it is in the collection, where it may have been put meanwhile. */
  refollow(model) {
    const isThere = this.collection.toArray().includes(model);
    const listener = this.listeners.get(model);
    if (isThere && !listener) {
      this.follow(model);
    } else if (!isThere && listener) {
      this.listeners.delete(model);
      model.off("change", listener);
    }
  }

  heard(entry) {
    this.log.push(entry);
    this.waiting();
  }

  titles() {
    return this.collection.toArray().map((model) => model.title);
  }

  find(title) {
    return this.collection.toArray().find((model) => model.title === title);
  }

  /** Waits until `holds(this)` is true, which is looked at after every event. */
  async until(holds) {
    const done = new Promise((resolve) => {
      this.waiting = () => holds(this) && resolve();
      this.waiting();
    });
    await within(done, () => `waited for ${holds}, have ${JSON.stringify(this.titles())}`);
  }
}
