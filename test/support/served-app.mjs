/**
 * A server in a process of its own, for tests that need several: `node served-app.mjs '<JSON>'` with
 * `{graphs: "project" | "fixtures", options: AppOptions}`. Prints `{"url": …}` when it listens; SIGTERM drains.
 */
import { fileURLToPath } from "node:url";
import { createApp } from "../../dist/index.js";
import { listen } from "../../dist/node/index.js";

const { graphs, options } = JSON.parse(process.argv[2] ?? "{}");
const server = await createApp({
  ...(graphs === "fixtures"
    ? { graphs: { ...(await import("../fixtures/graphs/index.ts")) } }
    : { config: fileURLToPath(new URL("../fixtures/project/langgraph.json", import.meta.url)) }),
  env: {},
  logLevel: "error",
  ...options,
});
const listener = await listen(server, { port: 0, host: "127.0.0.1" });
await server.start();
process.stdout.write(`${JSON.stringify({ url: listener.url })}\n`);

async function shutDown() {
  await server.close();
  await listener.close();
  process.exit(0);
}
process.once("SIGTERM", () => void shutDown());
