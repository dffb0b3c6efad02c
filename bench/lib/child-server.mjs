// A server in a process of its own, for micro benchmarks: the one that measures asks it over HTTP.
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";

/** In the child: serve on a free port until the parent says so. @param listen of the built `node/index.js` */
export async function serveParent(server, listen) {
  const listening = await listen(server, { port: 0, host: "127.0.0.1" });
  process.on("message", async () => {
    await listening.close();
    await server.close();
    process.exit(0);
  });
  process.send(listening.url);
}

/** In the parent. @param file its own, by URL @returns the child's URL, and what ends it */
export async function startChild(file, args) {
  const child = fork(fileURLToPath(file), args);
  const url = await new Promise((resolve, reject) => {
    child.once("message", resolve);
    child.once("exit", (code) => reject(new Error(`the server ended with ${code}`)));
  });
  const stop = () =>
    new Promise((resolve) => {
      child.once("exit", resolve);
      child.send("stop");
    });
  return { url, stop };
}
