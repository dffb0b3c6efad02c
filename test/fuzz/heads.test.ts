import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { damaged, hostileString } from "./hostile-values.js";
import { requestBytes, sendRaw } from "./raw-http.js";
import { fuzzing, openTarget, type Target, usedHeapBytes } from "./target.js";

const MAX_GROWTH_BYTES = 30 * 1024 * 1024;

let target: Target;
let heapBytes = 0;
beforeAll(async () => {
  target = await openTarget("memory");
  heapBytes = usedHeapBytes();
});
afterAll(() => target.close());

const METHODS = [
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "PATCH",
  "DELETE",
  "OPTIONS",
  "QUERY",
  "TRACE",
  "CONNECT",
  "PROPFIND",
  "get",
  "X",
];
const PATHS = [
  "/ok",
  "/threads",
  "/threads/search",
  "/store/items",
  "/docs",
  "/docs/",
  "/ui/x/y",
  "/openapi.json",
  "/",
  "*",
  "",
];

/** Bytes of a request target: also such that no URL has. */
const target8 = fc
  .tuple(
    fc.constantFrom(
      ...PATHS,
      "http://else.where/ok",
      "//ok",
      "/%2e%2e/%2e%2e/etc/passwd",
      "/docs/..%2f..%2fpackage.json",
    ),
    fc.array(
      fc.oneof(
        fc.constantFrom(
          "/",
          "//",
          "..",
          "%",
          "%zz",
          "%00",
          "%ff",
          "%c0%af",
          "%ud800",
          "?",
          "#",
          "&",
          ";",
          "=",
          "\\",
          "[",
          "]",
          "@",
          ":",
        ),
        fc.integer({ min: 0x21, max: 0xff }).map((code) => String.fromCodePoint(code)),
      ),
      { maxLength: 8 },
    ),
  )
  .map(([path, rest]) => path + rest.join(""));

const NAMES = [
  ..."accept authorization content-length content-type cookie expect host last-event-id origin prefer range te".split(
    " ",
  ),
  ..."transfer-encoding upgrade connection x-api-key x-auth-scheme x-forwarded-for x-request-id if-none-match".split(
    " ",
  ),
  ..."access-control-request-headers sec-websocket-key sec-websocket-version content-encoding __proto__ constructor".split(
    " ",
  ),
];
const VALUES = [
  "",
  "chunked",
  "gzip, chunked",
  "websocket",
  "Upgrade",
  "close",
  "100-continue",
  "-1",
  "1",
  "1e3",
  "0x10",
  "*",
  ",",
];

const header = fc.tuple(
  fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...NAMES) }, { weight: 1, arbitrary: hostileString }),
  fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...VALUES) },
    hostileString.map((text) => Buffer.from(text).toString("latin1")),
    { weight: 3, arbitrary: fc.string({ maxLength: 20 }) },
    fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString("latin1")),
  ),
);

const WAITED_FOR = new Set(["content-length", "transfer-encoding", "expect", "connection", "upgrade"]);
/** Answers by status; 0: closed without one. */
const answers = new Map<number, number>();

/** What the server did wrong, if anything. */
async function faultOf(bytes: Uint8Array, options: { readonly halfClose: boolean }): Promise<string | null> {
  const { status, body } = await sendRaw(target.url, bytes, { ...options, headOnly: true });
  answers.set(status ?? 0, (answers.get(status ?? 0) ?? 0) + 1);
  if (status === null || status < 500) return null;
  return `${status} ${body.slice(0, 300)}: ${JSON.stringify(target.faults.at(-1))}`;
}

test("request lines", async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...METHODS), target8, async (method, path) => {
      expect(await faultOf(requestBytes({ method, path }), { halfClose: false })).toBeNull();
    }),
    { ...fuzzing("request lines", 1_200), endOnFailure: true },
  );
});

test("headers", async () => {
  const request = fc.record({
    method: fc.constantFrom("GET", "POST", "OPTIONS", "DELETE"),
    path: fc.constantFrom(
      "/ok",
      "/threads",
      "/threads/search",
      `/threads/${target.ids["thread_id"]?.[0]}/stream/events`,
    ),
    headers: fc.array(header, { minLength: 1, maxLength: 6 }),
    body: fc.option(fc.constant(Buffer.from("{}"))),
  });
  await fc.assert(
    fc.asyncProperty(request, async ({ body, ...rest }) => {
      // What announces more than it sends is waited for, until nothing more can come.
      const halfClose = rest.headers.some(([name]) => WAITED_FOR.has(name.toLowerCase()));
      expect(await faultOf(requestBytes({ ...rest, ...(body !== null && { body }) }), { halfClose })).toBeNull();
    }),
    { ...fuzzing("headers", 1_200), endOnFailure: true },
  );
});

test("bytes that may be anything", async () => {
  const whole =
    'POST /threads HTTP/1.1\r\nhost: x\r\ncontent-length: 17\r\n\r\n{"metadata":null}GET /ok HTTP/1.1\r\nhost: x\r\n\r\n';
  const bytes = fc.oneof(damaged(fc.constant(whole)), fc.uint8Array({ maxLength: 300 }));
  await fc.assert(
    fc.asyncProperty(bytes, async (some) => {
      expect(await faultOf(some, { halfClose: true })).toBeNull();
    }),
    { ...fuzzing("bytes", 1_000), endOnFailure: true },
  );
});

test("leave a server that works and holds nothing", async () => {
  expect(await target.isWell()).toBe(true);
  expect(target.faults).toEqual([]);
  // Cases that are all refused at the door show nothing.
  for (const status of [200, 400, 404, 405]) expect(answers.get(status), String(status)).toBeGreaterThan(20);
  expect(usedHeapBytes() - heapBytes).toBeLessThan(MAX_GROWTH_BYTES);
});
