import { Annotation, START, StateGraph } from "@langchain/langgraph";
import { expect, it } from "vitest";
import { openWrappedApp, SINGLE_STORAGES } from "../fault/wrapped-app.js";
import { memory, report, sizeFrom } from "./measure.js";

const JOINERS = sizeFrom("SOAK_JOINERS", 1_000);
const FRAMES = 500;

/** Streams 500 frames of some 200 bytes, a few milliseconds apart. */
const ticking = new StateGraph(Annotation.Root({ n: Annotation<number> }))
  .addNode("tick", async (_state, config) => {
    for (let i = 0; i < FRAMES; i += 1) {
      config.writer?.({ i, text: "x".repeat(180) });
      await new Promise((resolve) => setTimeout(resolve, 4));
    }
    return { n: FRAMES };
  })
  .addEdge(START, "tick")
  .compile();

it.each(SINGLE_STORAGES)("a thousand joiners each get every frame (%s)", { timeout: 600_000 }, async (storage) => {
  const app = await openWrappedApp(storage, { options: { graphs: { ticking } } });
  const ask = async (method: string, path: string, body?: object, headers: Record<string, string> = {}) =>
    app.fetch(
      new Request(`http://heddle${path}`, {
        method,
        headers,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }),
    );
  const thread = (await (await ask("POST", "/threads", {})).json()) as { thread_id: string };
  const before = await memory();
  const startedAt = performance.now();
  const created = await ask("POST", `/threads/${thread.thread_id}/runs`, {
    assistant_id: "ticking",
    input: { n: 0 },
    stream_mode: ["custom"],
    stream_resumable: true,
  });
  const run = (await created.json()) as { run_id: string };
  const path = `/threads/${thread.thread_id}/runs/${run.run_id}/stream`;
  let largestRss = before.rss;
  const counts = await Promise.all(
    Array.from({ length: JOINERS }, async (_, index) => {
      const response = await ask("GET", path, undefined, { "last-event-id": "-1" });
      let frames = 0;
      for await (const chunk of response.body!) {
        frames += Buffer.from(chunk).toString("latin1").split("event: custom").length - 1;
        if (index === 0) largestRss = Math.max(largestRss, process.memoryUsage().rss);
      }
      return frames;
    }),
  );
  const tookMs = performance.now() - startedAt;
  expect(new Set(counts)).toEqual(new Set([FRAMES]));
  report(`${String(JOINERS)} joiners on ${storage}`, {
    tookMs,
    "frames/s": (JOINERS * FRAMES * 1_000) / tookMs,
    "RSS MB more": (largestRss - before.rss) / 1e6,
  });
  // The run alone takes a good two seconds.
  expect(tookMs).toBeLessThan(60_000);
});
