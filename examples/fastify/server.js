import Fastify from "fastify";
import { createApp } from "heddle";
import { nodeHandler } from "heddle/node";
import { countdown } from "./graph.js";

const heddle = await createApp({
  graphs: { countdown },
  storage: process.env.STORAGE ?? "sqlite:.heddle/heddle.db",
  http: { basePath: "/agent" },
});
const handle = nodeHandler(heddle);

const app = Fastify({ forceCloseConnections: true });
app.get("/", () => "Fastify here; the agent is under /agent.");
await app.register(async (scope) => {
  // Heddle reads its own bodies: no parser of Fastify's may take them.
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser("*", (_request, _payload, done) => done(null));
  scope.all("/agent/*", (request, reply) => {
    reply.hijack();
    return handle(request.raw, reply.raw);
  });
});

console.log(`${await app.listen({ host: "127.0.0.1", port: Number(process.env.PORT ?? 3000) })}/agent`);

process.once("SIGTERM", () => {
  void Promise.all([app.close(), heddle.close()]);
});
