import { connect, type Socket } from "node:net";

/** What came back for some bytes: as much as there was when the connection ended, or when enough was there. */
export interface RawAnswer {
  /** `null`: closed without a word of HTTP. */
  readonly status: number | null;
  readonly head: string;
  readonly body: string;
}

/** Longer than anything takes that is not held open on purpose. */
const HANG_MS = 10_000;
const HEAD_END = "\r\n\r\n";

/**
 * Send bytes as they are on a connection of their own, and read the answer.
 * @param options.halfClose say at once that nothing more comes, for what need not be a whole request
 * @param options.headOnly the answer's head is enough, as of a stream; then the connection is dropped
 * @throws Error when the server neither answers nor closes
 */
export async function sendRaw(
  url: string,
  bytes: Uint8Array | readonly Uint8Array[],
  options: { readonly halfClose?: boolean; readonly headOnly?: boolean } = {},
): Promise<RawAnswer> {
  const socket = await connectTo(url);
  const chunks: Buffer[] = [];
  const answer = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error(`hangs: ${HANG_MS} ms without an answer or an end; got ${latin1(chunks).slice(0, 300)}`));
    }, HANG_MS);
    const done = () => {
      clearTimeout(timer);
      resolve();
    };
    socket.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      const text = latin1(chunks);
      if ((options.headOnly === true || isEndless(text)) && text.includes(HEAD_END)) done();
    });
    socket.once("close", done);
    // A refusal may cut off what is still being sent.
    socket.on("error", () => undefined);
  });
  for (const part of bytes instanceof Uint8Array ? [bytes] : bytes) socket.write(part);
  if (options.halfClose === true) socket.end();
  try {
    await answer;
  } finally {
    socket.destroy();
  }
  const text = latin1(chunks);
  const at = text.indexOf(HEAD_END);
  return {
    status: statusOf(text),
    head: at === -1 ? text : text.slice(0, at),
    body: at === -1 ? "" : text.slice(at + HEAD_END.length),
  };
}

export async function connectTo(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  return socket;
}

const latin1 = (chunks: readonly Buffer[]): string => Buffer.concat(chunks).toString("latin1");

function statusOf(text: string): number | null {
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1];
  return status === undefined ? null : Number(status);
}

/** Streams end when their client leaves. */
function isEndless(text: string): boolean {
  return /^content-type: text\/event-stream/im.test(text);
}

/** A request's bytes; the connection ends with it. */
export function requestBytes(request: {
  readonly method: string;
  readonly path: string;
  readonly headers?: readonly (readonly [name: string, value: string])[];
  readonly body?: Uint8Array;
}): Uint8Array {
  const { method, path, headers = [], body } = request;
  const lines = [
    `${method} ${path} HTTP/1.1`,
    "host: 127.0.0.1",
    "connection: close",
    ...(body === undefined ? [] : [`content-length: ${body.byteLength}`]),
    ...headers.map(([name, value]) => `${name}: ${value}`),
  ];
  const head = Buffer.from(`${lines.join("\r\n")}${HEAD_END}`, "latin1");
  return body === undefined ? head : Buffer.concat([head, body]);
}

/** The same with a body in pieces. */
export function chunkedBytes(
  request: {
    readonly method: string;
    readonly path: string;
    readonly headers?: readonly (readonly [string, string])[];
  },
  pieces: readonly Uint8Array[],
): Uint8Array[] {
  const { headers = [] } = request;
  const head = requestBytes({ ...request, headers: [...headers, ["transfer-encoding", "chunked"]] });
  const parts = pieces
    .filter(({ byteLength }) => byteLength > 0)
    .map((piece) => Buffer.concat([Buffer.from(`${piece.byteLength.toString(16)}\r\n`), piece, Buffer.from("\r\n")]));
  return [head, ...parts, Buffer.from("0\r\n\r\n")];
}
