// A TCP link between client and gateway that a test can cut.

import { connect, createServer } from "node:net";

export class Link {
  /** Opens a link to a port of 127.0.0.1; `url` is the WebSocket address of this end. */
  static async to(port, scheme = "ws") {
    const link = new Link();
    link.up = true;
    link.sockets = new Set();
    link.passed = "";
    link.server = createServer((near) => link.join(near, port));
    await new Promise((resolve) => link.server.listen(0, "127.0.0.1", resolve));
    link.url = `${scheme}://127.0.0.1:${link.server.address().port}/`;
    return link;
  }

  join(near, port) {
    if (!this.up) {
      near.resetAndDestroy();
      return;
    }
    const far = connect(port, "127.0.0.1");
    for (const [socket, peer] of [
      [near, far],
      [far, near],
    ]) {
      this.sockets.add(socket);
      socket.on("error", () => peer.destroy());
      socket.on("close", () => {
        this.sockets.delete(socket);
        peer.destroy();
      });
      socket.on("data", (bytes) => this.note(bytes));
      socket.pipe(peer);
    }
  }

  note(bytes) {
    this.passed += bytes.toString("latin1");
    this.check?.();
  }

  /** Waits until something passes that matches, in either direction; the match. */
  passes(pattern) {
    this.passed = "";
    return new Promise((resolve) => {
      this.check = () => {
        const match = this.passed.match(pattern);
        if (match) {
          resolve(match);
        }
      };
    });
  }

  /** Resets every connection and every attempt to make a new one. */
  cut() {
    this.up = false;
    this.sockets.forEach((socket) => socket.resetAndDestroy());
  }

  /** Lets connections through again. */
  mend() {
    this.up = true;
  }

  close() {
    this.cut();
    this.server.close();
  }
}
