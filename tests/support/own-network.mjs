// Runs a program in a network of its own, in which port 4222 of localhost is the test's
// broker: what follows is a Unix socket that leads to the broker, and the program.
//
// Programs that were published with a fixed address of the broker, and fixed ports for
// their pages, thus run unchanged, several at a time.

import { spawn } from "node:child_process";
import { connect, createServer } from "node:net";

const [, , path, program] = process.argv;
const server = createServer((near) => {
  const far = connect(path);
  for (const [socket, peer] of [
    [near, far],
    [far, near],
  ]) {
    socket.on("error", () => peer.destroy());
    socket.on("close", () => peer.destroy());
    socket.pipe(peer);
  }
});
server.listen(4222, "localhost", () => {
  const child = spawn(program, { stdio: "inherit" });
  child.on("error", (error) => {
    console.error(`cannot start ${program}: ${error.message}`);
    process.exit(1);
  });
  child.on("exit", (code) => process.exit(code ?? 1));
});
