import { expect, it } from "vitest";
import type { JsonObject } from "../../src/core/json.js";
import { ANSWER_SCHEMAS } from "../../src/http/answer-schemas.js";
import { openHttpApp } from "./app.js";

type Operation = { readonly responses: Record<string, { readonly content: Record<string, { schema: object }> }> };

it("every answer that is described is a route's, and is as described", async () => {
  const app = await openHttpApp();
  const { paths } = (await app.json("GET", "/openapi.json")).body as {
    paths: Record<string, Record<string, Operation>>;
  };
  const unseen = new Set(Object.keys(ANSWER_SCHEMAS));
  for (const key of unseen) {
    const [method = "", path = ""] = key.split(" ");
    const schema = paths[path]?.[method]?.responses["200"]?.content["application/json"]?.schema;
    expect([key, Object.keys(schema ?? {}).length]).toEqual([key, expect.any(Number)]);
    expect([key, schema === undefined]).toEqual([key, false]);
  }
  const ask = async <T = JsonObject>(route: string, ids: Record<string, string> = {}, body?: object, search = "") => {
    const [method = "", path = ""] = route.split(" ");
    const url = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => ids[name] ?? "") + search;
    const { status, body: answer } = await app.json(method.toUpperCase(), url, body);
    expect([route, status]).toEqual([route, 200]);
    const parsed = ANSWER_SCHEMAS[route]?.safeParse(answer);
    expect([route, parsed?.error?.issues]).toEqual([route, undefined]);
    // A schema that takes anything says nothing.
    expect([route, ANSWER_SCHEMAS[route]?.safeParse("no such answer").success]).toEqual([route, false]);
    unseen.delete(route);
    return answer as T;
  };
  const THREAD = "/threads/{thread_id}";
  const ASSISTANT = "/assistants/{assistant_id}";

  const { assistant_id } = await ask<{ assistant_id: string }>("post /assistants", {}, { graph_id: "ask", name: "a" });
  for (const route of [`get ${ASSISTANT}`]) await ask(route, { assistant_id });
  await ask(`patch ${ASSISTANT}`, { assistant_id }, { metadata: { a: 1 }, description: "d" });
  await ask(`post ${ASSISTANT}/versions`, { assistant_id }, {});
  await ask(`post ${ASSISTANT}/latest`, { assistant_id }, { version: 1 });
  await ask("post /assistants/search", {}, {});
  await ask("post /assistants/search", {}, { select: ["name"] });
  await ask("post /assistants/count", {}, {});

  const { thread_id } = await ask<{ thread_id: string }>("post /threads", {}, { metadata: { a: 1 }, ttl: 60 });
  await ask(`get ${THREAD}/state`, { thread_id });
  const run = { assistant_id, input: { question: "?" } };
  await app.json("POST", `/threads/${thread_id}/runs/wait`, run);
  await ask(`get ${THREAD}`, { thread_id });
  const state = await ask<{ checkpoint: { checkpoint_id: string } }>(
    `get ${THREAD}/state`,
    { thread_id },
    undefined,
    "?subgraphs=1",
  );
  const { checkpoint_id } = state.checkpoint;
  await ask(`get ${THREAD}/state/{checkpoint_id}`, { thread_id, checkpoint_id });
  await ask(`post ${THREAD}/state/checkpoint`, { thread_id }, { checkpoint: { checkpoint_id } });
  await ask(`get ${THREAD}/history`, { thread_id });
  await ask(`post ${THREAD}/history`, { thread_id }, { select: ["next"] });
  const { run_id } = await ask<{ run_id: string }>(
    `post ${THREAD}/runs`,
    { thread_id },
    { ...run, command: { resume: "x" }, webhook: undefined },
  );
  await app.request("GET", `/threads/${thread_id}/runs/${run_id}/join`);
  await ask(`get ${THREAD}/runs/{run_id}`, { thread_id, run_id });
  await ask(`get ${THREAD}/runs`, { thread_id });
  await ask(`get ${THREAD}/runs`, { thread_id }, undefined, "?select=langsmith_session_name&select=status");
  await ask(`post ${THREAD}/state`, { thread_id }, { values: null });
  await ask(`patch ${THREAD}`, { thread_id }, { metadata: { b: null } });
  await ask(`post ${THREAD}/copy`, { thread_id });
  await app.json("POST", `/threads/${thread_id}/runs/wait`, { assistant_id: "failing", input: {} });
  await ask("post /threads/search", {}, {});
  await ask("post /threads/search", {}, { select: ["thread_id", "ttl"] });
  await ask("post /threads/count", {}, {});
  await ask("post /runs", {}, { ...run, after_seconds: 60 });
  await ask("post /runs/batch", {}, [{ ...run, after_seconds: 60 }] as object);

  await app.request("PUT", "/store/items", { namespace: ["a"], key: "k", value: { a: [1] } });
  await ask("get /store/items", {}, undefined, "?namespace=a&key=k");
  await ask("get /store/items", {}, undefined, "?namespace=a&key=none");
  await ask("post /store/items/search", {}, { namespace_prefix: [] });
  await ask("post /store/namespaces", {}, {});
  await ask("get /ok");
  await ask("get /info");
  await ask("post /auth/tickets", {}, { thread_id });
  expect([...unseen]).toEqual([]);
});
