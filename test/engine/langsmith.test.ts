import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hello, inspect, outer, steps } from "./graphs.js";
import { execute, harness } from "./harness.js";

/** Stands in for LangSmith: collects what is sent to it. */
const bodies: string[] = [];
const server = createServer((request: IncomingMessage, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    bodies.push(Buffer.concat(chunks).toString("latin1"));
    response.setHeader("content-type", "application/json").end("{}");
  });
});

beforeAll(async () => {
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  // The LangSmith client reads its settings from the environment; this file has a process of its own.
  process.env["LANGSMITH_ENDPOINT"] = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  process.env["LANGSMITH_API_KEY"] = "test";
});
afterAll(() => {
  server.close();
  server.closeAllConnections();
});

const handlerNames = (config: object): readonly string[] =>
  ((config as { callbacks?: { handlers?: { name: string }[] } }).callbacks?.handlers ?? []).map(({ name }) => name);

describe("langsmith_tracer", () => {
  it("traces the run into its project, when a key is configured", async () => {
    const names: string[] = [];
    const { engine } = await harness(
      { graph: inspect((config) => void names.push(...handlerNames(config))) },
      { langsmith: true },
    );
    const { run } = await execute(engine, {
      graphId: "graph",
      input: { seen: 1 },
      langsmithTracer: { projectName: "mine" },
    });
    expect(names).toContain("langchain_tracer");
    await expect.poll(() => bodies.join("\n"), { timeout: 10_000, interval: 20 }).toContain(run.runId);
    expect(bodies.join("\n")).toContain("mine");
  });

  it("does nothing without a key, and nothing is sent of other runs", async () => {
    const names: string[] = [];
    const { engine } = await harness({ steps, graph: inspect((config) => void names.push(...handlerNames(config))) });
    const traced = await execute(engine, {
      graphId: "graph",
      input: { seen: 1 },
      langsmithTracer: { projectName: "mine" },
    });
    const plain = await execute(engine, { graphId: "steps", input: hello });
    expect(names).not.toContain("langchain_tracer");
    expect(bodies.join("\n")).not.toContain(traced.run.runId);
    expect(bodies.join("\n")).not.toContain(plain.run.runId);
  });
});

describe("tracing by environment", () => {
  it("works as without a server, with the fast paths installed: the run is the trace, its nodes are in it", async () => {
    process.env["LANGSMITH_TRACING"] = "true";
    try {
      const { engine } = await harness({ outer });
      const { run } = await execute(engine, { graphId: "outer", input: hello });
      const sent = (): string => bodies.join("\n");
      const inTrace = (name: string) =>
        expect.poll(sent, { timeout: 10_000, interval: 20 }).toContain(`"name":"${name}"`);
      await expect.poll(sent, { timeout: 10_000, interval: 20 }).toContain(`"trace_id":"${run.runId}"`);
      await inTrace("talk");
      await inTrace("a");
      await inTrace("ScriptedModel");
      expect(sent()).not.toContain("__heddle_lease");
    } finally {
      delete process.env["LANGSMITH_TRACING"];
    }
  });
});
