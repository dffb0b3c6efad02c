import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { hostileJson, hostileString } from "./hostile-values.js";
import { connectTo } from "./raw-http.js";
import { fuzzing, openTarget, type Target, usedHeapBytes } from "./target.js";

const MAX_GROWTH_BYTES = 50 * 1024 * 1024;
const HANG_MS = 10_000;

let target: Target;
let heapBytes = 0;
beforeAll(async () => {
  target = await openTarget("memory");
  heapBytes = usedHeapBytes();
});
afterAll(() => target.close());

const OPCODES = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

interface Frame {
  readonly opcode: number;
  readonly payload: Uint8Array;
  readonly isLast?: boolean;
  readonly isMasked?: boolean;
  /** Bits that are reserved (RFC 6455 §5.2). */
  readonly reserved?: number;
  /** What its head says that it has. */
  readonly announced?: number;
}

function frameBytes({ opcode, payload, isLast = true, isMasked = true, reserved = 0, announced }: Frame): Buffer {
  const length = announced ?? payload.byteLength;
  const head = [(isLast ? 0x80 : 0) | (reserved << 4) | opcode];
  const mask = isMasked ? 0x80 : 0;
  const size = Buffer.alloc(8);
  size.writeBigUInt64BE(BigInt(length));
  if (length < 126) head.push(mask | length);
  else if (length < 65_536) head.push(mask | 126, ...size.subarray(6));
  else head.push(mask | 127, ...size);
  const key = randomBytes(4);
  const body = isMasked ? payload.map((byte, index) => byte ^ (key[index % 4] ?? 0)) : payload;
  return Buffer.concat([Buffer.from(head), ...(isMasked ? [key] : []), body]);
}

const METHODS = [
  "subscription.subscribe",
  "subscription.unsubscribe",
  "run.start",
  "input.respond",
  "state.get",
  "agent.getTree",
  "x",
];
const params = fc.oneof(
  hostileJson,
  fc.record(
    {
      channels: fc.array(fc.oneof(fc.constantFrom("values", "lifecycle", "custom:x"), hostileString), { maxLength: 3 }),
      namespaces: hostileJson,
      depth: fc.oneof(fc.nat(3), hostileJson),
      subscription_id: hostileString,
      assistant_id: fc.oneof(fc.constantFrom("counter", "ask"), hostileString),
      input: hostileJson,
      interrupt_id: hostileString,
      response: hostileJson,
      since: fc.oneof(fc.nat(5), hostileJson),
      config: hostileJson,
      metadata: hostileJson,
    },
    { requiredKeys: [] },
  ),
);
const commandText = fc
  .record({
    id: fc.oneof(fc.nat(100), hostileJson),
    method: fc.oneof(fc.constantFrom(...METHODS), hostileJson),
    params,
  })
  .map((command) => JSON.stringify(command));
const text = fc.oneof(
  commandText,
  hostileString.map((any) => any.toWellFormed()),
  hostileJson.map((any) => JSON.stringify(any)),
);

const frame: fc.Arbitrary<Frame> = fc.oneof(
  { weight: 6, arbitrary: text.map((any) => ({ opcode: OPCODES.text, payload: Buffer.from(any) })) },
  { weight: 2, arbitrary: text.map((any) => ({ opcode: OPCODES.binary, payload: Buffer.from(any) })) },
  {
    weight: 3,
    arbitrary: fc.record({
      opcode: fc.nat(15),
      payload: fc.uint8Array({ maxLength: 200 }),
      isLast: fc.boolean(),
      isMasked: fc.boolean(),
      reserved: fc.constantFrom(0, 0, 0, 1, 7),
    }),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(2 ** 16, 2 ** 31, 2 ** 40, Number.MAX_SAFE_INTEGER)
      .map((announced) => ({ opcode: OPCODES.text, payload: Buffer.from("{"), announced })),
  },
  { weight: 1, arbitrary: fc.constant({ opcode: OPCODES.text, payload: Buffer.alloc(1_100_000, 0x20) }) },
);

/** Send frames over a WebSocket, then close it. @returns how it ended */
async function converse(frames: readonly Frame[]): Promise<string> {
  const socket = await connectTo(target.url);
  const received: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => received.push(chunk));
  socket.on("error", () => undefined);
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.write(
    [
      `GET /threads/${target.ids["thread_id"]?.[0]}/stream/events HTTP/1.1`,
      "host: 127.0.0.1\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13",
      `sec-websocket-key: ${randomBytes(16).toString("base64")}\r\n\r\n`,
    ].join("\r\n"),
  );
  for (const one of frames) socket.write(frameBytes(one));
  socket.write(frameBytes({ opcode: OPCODES.close, payload: Buffer.from([3, 232]) }));
  // A frame that announced more than it has takes what follows for its own: only the end of the connection ends it.
  socket.end();
  const timer = setTimeout(() => socket.destroy(new Error("hangs")), HANG_MS);
  await closed;
  clearTimeout(timer);
  const answered = Buffer.concat(received).toString("latin1");
  if (!answered.startsWith("HTTP/1.1 101 ")) return `no WebSocket: ${answered.slice(0, 200)}`;
  return socket.errored?.message ?? "closed";
}

test("frames of a WebSocket", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(frame, { minLength: 1, maxLength: 6 }), async (frames) => {
      // The server may cut off what is still being sent.
      expect(await converse(frames)).toMatch(/^closed$|ECONNRESET|EPIPE/);
    }),
    { ...fuzzing("WebSocket conversations", 500), endOnFailure: true },
  );
});

test("leave a server that works, and sockets that are all gone", async () => {
  expect(await target.isWell()).toBe(true);
  expect(target.faults).toEqual([]);
  expect(usedHeapBytes() - heapBytes).toBeLessThan(MAX_GROWTH_BYTES);
});
