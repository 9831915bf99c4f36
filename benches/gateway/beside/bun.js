// What `bun=` of the benchmark runs: WebSocket clients take topics, and everything that NATS
// has on `bench.>` is published to those who took its subject.
//
//   bun bun.js <port of NATS> <port for clients>
//
// The events come over a bare TCP connection: a client library would only cost more.

const [nats, port] = process.argv.slice(2).map(Number);

function serve() {
  return Bun.serve({
    hostname: "127.0.0.1",
    port,
    fetch: (request, server) =>
      server.upgrade(request) ? undefined : new Response("WebSocket only", { status: 426 }),
    websocket: {
      idleTimeout: 0,
      message(socket, text) {
        if (text !== "hello") socket.subscribe(text);
        socket.send(text);
      },
    },
  });
}

let server;
let rest = Buffer.alloc(0);

function take(socket, data) {
  rest = rest.length ? Buffer.concat([rest, data]) : Buffer.from(data);
  let at = 0;
  for (;;) {
    const end = rest.indexOf("\r\n", at);
    if (end < 0) break;
    const fields = rest.latin1Slice(at, end).split(" ");
    let next = end + 2;
    if (fields[0] === "MSG") {
      const size = Number(fields.at(-1));
      if (rest.length < next + size + 2) break;
      server.publish(fields[1], rest.utf8Slice(next, next + size));
      next += size + 2;
    } else if (fields[0] === "PING") {
      socket.write("PONG\r\n");
    } else if (fields[0] === "PONG") {
      // The broker knows the subscription: no event can be missed.
      server ??= serve();
    }
    at = next;
  }
  rest = rest.subarray(at);
}

await Bun.connect({
  hostname: "127.0.0.1",
  port: nats,
  socket: {
    open: (socket) => socket.write('CONNECT {"verbose":false}\r\nSUB bench.> 1\r\nPING\r\n'),
    data: take,
    close: () => process.exit(1),
  },
});
