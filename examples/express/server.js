import express from "express";
import { createApp } from "heddle";
import { nodeHandler } from "heddle/node";
import { countdown } from "./graph.js";

const heddle = await createApp({
  graphs: { countdown },
  storage: process.env.STORAGE ?? "sqlite:.heddle/heddle.db",
  http: { basePath: "/agent" },
});

const app = express();
app.get("/", (_request, response) => response.send("Express here; the agent is under /agent."));
// Before any body parser: Heddle reads its own bodies.
app.use("/agent", nodeHandler(heddle));

const listener = app.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${listener.address().port}/agent`);
});

process.once("SIGTERM", () => {
  listener.close();
  void heddle.close();
});
