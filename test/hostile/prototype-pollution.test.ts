import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Annotation, type LangGraphRunnableConfig, START, StateGraph } from "@langchain/langgraph";
import { v7 } from "uuid";
import * as fixtures from "../fixtures/graphs/index.js";
import { ALL, openSocket } from "../protocols/event-stream/thread-client.js";
import { type Answer, type Call, requester } from "../support/requests.js";
import { LOCAL_STORAGES, startServer, type TestServer } from "../support/server.js";
import { type Operation, operationsOf, type OpenApi } from "../fuzz/target.js";

/** What a client may send so that something copies it into the prototype of all objects. */
const POLLUTED =
  '"__proto__":{"polluted":"yes","langgraph_auth_user_id":"root"},"constructor":{"prototype":{"polluted":"yes"}}';
const VALUE = `{${POLLUTED},"inner":{${POLLUTED}},"list":[{${POLLUTED}}]}`;

const keys = (): string =>
  JSON.stringify(
    [Object.prototype, Array.prototype, Function.prototype].map((one) => Reflect.ownKeys(one).map(String)),
  );
const CLEAN = keys();
const expectClean = (where: string): void => {
  expect([
    where,
    ({} as Record<string, unknown>)["polluted"],
    ([] as unknown as Record<string, unknown>)["polluted"],
  ]).toEqual([where, undefined, undefined]);
  expect([where, keys()]).toEqual([where, CLEAN]);
};

const State = Annotation.Root({
  value: Annotation<Record<string, unknown>>({ reducer: (a, b) => ({ ...a, ...b }), default: () => ({}) }),
  seen: Annotation<Record<string, unknown>>,
});
/** Tells what it was configured with, as own keys. */
const tell = new StateGraph(State)
  .addNode("tell", (_, { configurable = {}, metadata = {} }: LangGraphRunnableConfig<Record<string, unknown>>) => ({
    seen: {
      polluted: [
        configurable["polluted"] ?? null,
        metadata["polluted"] ?? null,
        ({} as Record<string, unknown>)["polluted"] ?? null,
      ],
    },
  }))
  .addEdge(START, "tell")
  .compile();

describe.each(LOCAL_STORAGES)("names of prototypes in everything that is JSON, on %s", (storage) => {
  let server: TestServer;
  let call: Call;
  let threadId = "";
  beforeAll(async () => {
    server = await startServer(storage, { graphs: { ...fixtures, tell } });
    call = requester(server.url);
    threadId = ((await call("POST", "/threads", {})).json as { thread_id: string }).thread_id;
    await call("POST", `/threads/${threadId}/runs/wait`, { assistant_id: "tell", input: {} });
  });
  afterAll(() => server.close());

  const refused: string[] = [];
  const expectNoFault = (where: string, { status, text }: Answer): void => {
    expect([where, status < 500, status < 500 || text]).toEqual([where, true, true]);
    if (status >= 400) refused.push(where);
    expectClean(where);
  };

  test("every field of every body, and the body itself", async () => {
    const operations = operationsOf((await call("GET", "/openapi.json")).json as OpenApi);
    const withBody = operations.filter(({ body }) => body !== null);
    expect(withBody.length).toBeGreaterThan(25);
    for (const operation of withBody) {
      const path = operation.path
        .replace("{thread_id}", threadId)
        .replace("{run_id}", v7())
        .replace("{assistant_id}", "tell")
        .replace(/\{\w+\}/, "x");
      const where = `${operation.method} ${operation.path}`;
      // Streams are followed on a thread of which nothing comes.
      if (path.endsWith("/stream/events")) continue;
      expectNoFault(where, await call(operation.method, path, VALUE));
      for (const field of fieldsOf(operation)) {
        for (const value of [VALUE, `[${VALUE}]`]) {
          const body = `{"assistant_id":"tell","namespace":["a"],"key":"k",${POLLUTED},"${field}":${value}}`;
          expectNoFault(`${where} ${field}`, await call(operation.method, path, body));
        }
      }
    }
  });

  test("queries and headers", async () => {
    const query =
      "?__proto__[polluted]=yes&__proto__.polluted=yes&constructor[prototype][polluted]=yes&__proto__=x&__proto__=y&limit=1";
    for (const path of [
      "/info",
      `/threads/${threadId}/runs`,
      `/threads/${threadId}/history`,
      "/store/items",
      `/threads/${threadId}`,
    ]) {
      expectNoFault(
        path,
        await call("GET", path + query, undefined, { __proto__x: "1", constructor: "x", "x-__proto__": "y" }),
      );
    }
    for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty", "prototype"]) {
      for (const path of [
        `/assistants/${name}`,
        `/assistants/${name}/schemas`,
        `/docs/${name}`,
        `/ui/${name}/${name}`,
        `/ui/tell/${name}`,
      ]) {
        const answer = await call("GET", path);
        expectNoFault(path, answer);
        expect([path, answer.status]).toEqual([path, 404]);
      }
      const started = await call("POST", "/runs/wait", { assistant_id: name, input: {} });
      expect([name, started.status]).toEqual([name, 404]);
      expect([name, (await call("POST", "/assistants", { graph_id: name })).status]).toEqual([name, 404]);
    }
  });

  test("runs get them as keys, or not at all, and commands of the event protocol too", async () => {
    const body = `{"assistant_id":"tell","input":{"value":${VALUE}},"config":{"configurable":${VALUE},"metadata":${VALUE}},"context":${VALUE},"metadata":${VALUE}}`;
    const ran = await call("POST", "/runs/wait", body);
    expect(ran.status).toBe(200);
    expect((ran.json as { seen: unknown }).seen).toEqual({ polluted: [null, null, null] });
    for (const command of [
      `{"resume":${VALUE}}`,
      `{"update":${VALUE}}`,
      `{"goto":${VALUE}}`,
      `{"update":[["value",${VALUE}]]}`,
    ]) {
      const text = `{"assistant_id":"tell","command":${command}}`;
      expectNoFault(command.slice(0, 12), await call("POST", `/threads/${threadId}/runs/wait`, text));
    }
    const socket = await openSocket(server.url, v7());
    await socket.succeed("subscription.subscribe", ALL);
    const params = JSON.parse(
      `{"assistant_id":"tell","input":{"value":${VALUE}},"config":{"configurable":${VALUE}},"metadata":${VALUE}}`,
    ) as object;
    await socket.succeed("run.start", params);
    await socket.events.terminal();
    socket.close();
    expectClean("run.start");
  });

  test("metadata and items keep them as keys like any other, and filters find them by these", async () => {
    const metadata = '{"__proto__":{"a":1},"constructor":"c","toString":"t"}';
    const created = await call("POST", "/threads", `{"metadata":${metadata}}`);
    const { thread_id: id } = created.json as { thread_id: string };
    expect((await call("GET", `/threads/${id}`)).text).toContain(metadata);
    for (const [filter, isFound] of [
      ['{"__proto__":{"a":1}}', true],
      ['{"constructor":"c"}', true],
      ['{"__proto__":{"a":2}}', false],
      ['{"hasOwnProperty":{}}', false],
      ['{"toString":"t","constructor":"c"}', true],
      ['{"valueOf":null}', false],
    ] as const) {
      const found = (await call("POST", "/threads/search", `{"metadata":${filter},"ids":["${id}"]}`)).json as unknown[];
      expect([filter, found.length]).toEqual([filter, isFound ? 1 : 0]);
    }
    for (const name of ["__proto__", "constructor"]) {
      const item = `{"namespace":["${name}"],"key":"${name}","value":{"${name}":{"x":1}}}`;
      expect((await call("PUT", "/store/items", item)).status).toBe(204);
      const got = await call("GET", `/store/items?namespace=${name}&key=${name}`);
      expect(got.text).toContain(`"value":{"${name}":{"x":1}}`);
      const search = await call(
        "POST",
        "/store/items/search",
        `{"namespace_prefix":["${name}"],"filter":{"${name}":{"x":1}}}`,
      );
      expect((search.json as { items: unknown[] }).items).toHaveLength(1);
    }
    expectClean("metadata and items");
  });

  test("most of it was taken, so that it was looked at", () => {
    expect(refused.length).toBeLessThan(250);
  });
});

function fieldsOf({ body }: Operation): string[] {
  return Object.keys(body?.["properties"] ?? {});
}
