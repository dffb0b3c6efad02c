import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { StorageName } from "../support/server.js";
import { fromSchema, pathOf, queryOf } from "./from-schema.js";
import { damaged, hostileJson, hostileString } from "./hostile-values.js";
import { chunkedBytes, type RawAnswer, requestBytes, sendRaw } from "./raw-http.js";
import { fuzzing, type Operation, openTarget, type Target, usedHeapBytes } from "./target.js";

/** How much more may be in use after all the cases of one server, what they stored included. */
const MAX_GROWTH_BYTES = 100 * 1024 * 1024;

const HELD = /\/(?:wait|join|stream|events|events\/poll)$/;

/** What is wrong with an answer: a fault of the server, or an error that does not say what is wrong. */
function problemOf({ status, head, body }: RawAnswer, target: Target, answers: Map<string, number>): string | null {
  const kind = String(status)[0] ?? "";
  answers.set(kind, (answers.get(kind) ?? 0) + 1);
  if (status === null) return null;
  if (status >= 500) return `${status} ${body.slice(0, 200)}: ${describeFault(target.faults.at(-1))}`;
  // Node's own answers to what is no HTTP have no body.
  const isOurs = status >= 400 && /content-type: application\/json/i.test(head);
  return isOurs && !/\{"(?:detail|type|error|message|code|status_code|success)":/.test(body)
    ? `${status} without a reason: ${body}`
    : null;
}

function describeFault(fault: unknown): string {
  return JSON.stringify(fault, (_, value: unknown) => (value instanceof Error ? `${value.stack}` : value))?.slice(
    0,
    1_500,
  );
}

const bytesOf = (value: fc.Arbitrary<unknown>): fc.Arbitrary<Uint8Array> => {
  const text = value.map((any) => JSON.stringify(any) ?? "");
  return fc.oneof(
    { weight: 8, arbitrary: text.map((json) => Buffer.from(json)) },
    { weight: 2, arbitrary: damaged(text) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
  );
};

const STORAGES: readonly (readonly [StorageName, number])[] = [
  ["memory", 2_000],
  ["sqlite", 1_000],
  ["postgres", 1_000],
];

describe.each(STORAGES)("whatever comes as a request, on %s", (storage, cases) => {
  let target: Target;
  let heapBytes = 0;
  /** Answers by the first digit of their status. */
  const answers = new Map<string, number>();
  beforeAll(async () => {
    target = await openTarget(storage);
    heapBytes = usedHeapBytes();
  });
  afterAll(() => target.close());

  const anyOf = (operations: readonly Operation[]) => fc.constantFrom(...operations);

  test("bodies", async () => {
    const request = anyOf(target.operations.filter(({ body }) => body !== null)).chain((operation) =>
      fc.record({
        operation: fc.constant(operation),
        path: pathOf(target, operation),
        body: bytesOf(fromSchema(target, operation.body ?? {})),
        cut: fc.option(fc.array(fc.nat(), { maxLength: 3 }), { freq: 4 }),
      }),
    );
    await fc.assert(
      fc.asyncProperty(request, async ({ operation, path, body, cut }) => {
        const { method } = operation;
        const bytes =
          cut === null ? requestBytes({ method, path, body }) : chunkedBytes({ method, path }, pieces(body, cut));
        expect(
          problemOf(await sendRaw(target.url, bytes, { headOnly: HELD.test(operation.path) }), target, answers),
        ).toBeNull();
      }),
      { ...fuzzing(`bodies on ${storage}`, cases), endOnFailure: true },
    );
  });

  test("queries", async () => {
    const request = anyOf(target.operations.filter(({ method }) => method !== "DELETE")).chain((operation) =>
      fc.record({
        operation: fc.constant(operation),
        path: pathOf(target, operation),
        query: queryOf(target, operation),
      }),
    );
    await fc.assert(
      fc.asyncProperty(request, async ({ operation, path, query }) => {
        const bytes = requestBytes({ method: operation.method, path: path + query });
        expect(
          problemOf(await sendRaw(target.url, bytes, { headOnly: HELD.test(operation.path) }), target, answers),
        ).toBeNull();
      }),
      { ...fuzzing(`queries on ${storage}`, cases / 2), endOnFailure: true },
    );
  });

  test("places to resume at", async () => {
    const [thread = "", run = ""] = [target.ids["thread_id"]?.[0], target.ids["run_id"]?.[0]];
    const place = fc.oneof(
      hostileString.map((text) => text.toWellFormed()),
      fc.integer().map(String),
      fc.constantFrom("-1", "0", "1", "9007199254740993", "1e3", "0x1", " 1", "1-0", "1764000000000-0", "+1", "१"),
    );
    const request = fc.record({
      since: fc.oneof(place, hostileJson, fc.integer()),
      id: place,
      overHttp: fc.constantFrom("run", "thread", "events"),
    });
    await fc.assert(
      fc.asyncProperty(request, async ({ since, id, overHttp }) => {
        const headers = [["last-event-id", Buffer.from(headerText(id)).toString("latin1")]] as const;
        const query = `?last_event_id=${encodeURIComponent(id)}&stream_mode=values`;
        const body = Buffer.from(JSON.stringify({ channels: ["values"], since }) ?? "");
        const bytes =
          overHttp === "events"
            ? requestBytes({ method: "POST", path: `/threads/${thread}/stream/events`, body, headers })
            : requestBytes({
                method: "GET",
                path:
                  overHttp === "run"
                    ? `/threads/${thread}/runs/${run}/stream${query}`
                    : `/threads/${thread}/stream${query}`,
                headers,
              });
        expect(problemOf(await sendRaw(target.url, bytes, { headOnly: true }), target, answers)).toBeNull();
      }),
      { ...fuzzing(`resuming on ${storage}`, cases / 5), endOnFailure: true },
    );
  });

  test("leave a server that works, and no more memory than what was stored", async () => {
    expect(await target.isWell()).toBe(true);
    expect(target.faults.map(describeFault)).toEqual([]);
    expect(usedHeapBytes() - heapBytes).toBeLessThan(MAX_GROWTH_BYTES);
    // Cases that are all refused at the door show nothing.
    const [done = 0, refused = 0] = [answers.get("2"), answers.get("4")];
    expect(done / (done + refused)).toBeGreaterThan(0.1);
    expect(refused / (done + refused)).toBeGreaterThan(0.1);
  });
});

/** Line ends in a header's value would be another header. */
const headerText = (text: string): string => text.replaceAll(/[\r\n]/g, " ");

function pieces(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const places = [0, ...cuts.map((cut) => cut % (bytes.byteLength + 1)), bytes.byteLength].toSorted((a, b) => a - b);
  return places.slice(1).map((end, index) => bytes.subarray(places[index], end));
}
