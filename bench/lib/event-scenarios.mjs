// Scenarios of the event protocol (commands in, a thread's events out). Shape and rules are those of scenarios.mjs.
import net from "node:net";
import { randomUUID } from "node:crypto";
import { Api, closedLoop, sleep } from "./http.mjs";
import { prefix, round, median, pct } from "./stats.mjs";
import { cpuMs, rssMb } from "./proc.mjs";

const TOKENS = 500;
const input = { messages: [{ role: "user", content: "hi" }], n: TOKENS };
const n = (ctx, x) => Math.max(1, Math.round(x * (ctx.scale ?? 1)));
const END = /"event":"(?:completed|failed|interrupted)"/;

/** A listener that has not heard the run's end by then is counted with what it has, so that no case waits for ever. */
const LISTEN_MS = 60_000;

const start = (api, id, assistant = "tokens") =>
  api.json("POST", `/threads/${id}/commands`, { id: 1, method: "run.start", params: { assistant_id: assistant, input } });

/** One SSE listener of a thread; `done` resolves with its marks when the root's run has ended. */
function listenSse(api, id, channels) {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), LISTEN_MS);
  let ready;
  const opened = new Promise((r) => (ready = r));
  const marks = { wanted: 0, first: NaN, last: NaN, bytes: 0, error: "" };
  const done = (async () => {
    const res = await api.pool.request({
      path: `/threads/${id}/stream/events`, method: "POST", headers: { "content-type": "application/json" },
      body: JSON.stringify({ channels }), signal: abort.signal,
    });
    ready();
    res.body.setEncoding("utf8");
    let buf = "";
    try {
      for await (const chunk of res.body) {
        const now = performance.now();
        marks.bytes += chunk.length;
        buf += chunk;
        let i = 0;
        for (let j; (j = buf.indexOf("\n\n", i)) >= 0; i = j + 2) take(marks, buf.slice(i, j), now) && abort.abort();
        buf = buf.slice(i);
      }
    } catch (e) {
      if (!abort.signal.aborted) marks.error = e.message;
    }
    clearTimeout(timer);
    return marks;
  })();
  return { opened, done };
}
/** @returns whether the root's run has ended */
function take(marks, frame, now) {
  if (frame.includes('"text-delta"')) {
    if (marks.wanted++ === 0) marks.first = now;
    marks.last = now;
    return false;
  }
  return frame.includes('"method":"lifecycle"') && frame.includes('"namespace":[]') && END.test(frame);
}
async function listenSocket(url, id, channels) {
  const socket = new WebSocket(`${url.replace(/^http/, "ws")}/threads/${id}/stream/events`);
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve, { once: true });
    socket.addEventListener("error", reject, { once: true });
  });
  const marks = { wanted: 0, first: NaN, last: NaN, bytes: 0, error: "" };
  let ready, end;
  const opened = new Promise((r) => (ready = r));
  const done = new Promise((r) => (end = r));
  const timer = setTimeout(() => socket.close(), LISTEN_MS);
  socket.addEventListener("message", ({ data }) => {
    marks.bytes += data.length;
    if (data.startsWith('{"type":"success"')) ready();
    else if (take(marks, data, performance.now())) socket.close();
  });
  socket.addEventListener("close", () => {
    clearTimeout(timer);
    ready();
    end(marks);
  });
  socket.send(JSON.stringify({ id: 1, method: "subscription.subscribe", params: { channels } }));
  return { opened, done };
}

const rateOf = (marks) => ((marks.wanted - 1) * 1000) / (marks.last - marks.first);

async function fanOut(ctx, transport) {
  const out = {};
  const channels = ["messages", "lifecycle"];
  for (const listeners of [1, 10, 100].map((x) => n(ctx, x))) {
    const api = new Api(ctx.url, { connections: listeners + 2 });
    const rates = [], spans = [], cpu = [];
    let all = 0, expected = 0;
    for (let round_ = 0; round_ < 6; round_++) {
      const id = randomUUID();
      const open = [];
      for (let i = 0; i < listeners; i++)
        open.push(transport === "sse" ? listenSse(api, id, channels) : await listenSocket(ctx.url, id, channels));
      await Promise.all(open.map((o) => o.opened));
      const c0 = ctx.pid ? cpuMs(ctx.pid) : 0;
      const t0 = performance.now();
      await start(api, id);
      const marks = await Promise.all(open.map((o) => o.done));
      if (round_ === 0) continue; // warms up
      rates.push(median(marks.map(rateOf)));
      spans.push(performance.now() - t0);
      all += marks.reduce((a, m) => a + m.wanted, 0);
      expected += TOKENS * listeners;
      if (ctx.pid) cpu.push(((cpuMs(ctx.pid) - c0) * 1000) / (TOKENS * listeners));
    }
    Object.assign(out, prefix(`l${listeners}`, {
      stream_tok_s: round(median(rates), 0), agg_tok_s: round(median(rates) * listeners, 0), total: round(median(spans)),
      got: round(all / expected, 4), ...(ctx.pid ? { cpu_us_frame: round(median(cpu), 1) } : {}),
    }));
    await api.close();
  }
  return out;
}

/** Open `size` raw sockets, 100 at a time; each resolves with its first bytes. */
async function openMany(ctx, socks, size, head) {
  const { hostname, port } = new URL(ctx.url);
  for (const t0 = performance.now(); socks.length < size && performance.now() - t0 < 90_000; ) {
    await Promise.all(Array.from({ length: Math.min(100, size - socks.length) }, (_, i) => new Promise((resolve) => {
      const s = net.connect(+port, hostname, () => s.write(head(i)));
      const timer = setTimeout(resolve, 10_000);
      s.once("data", () => (clearTimeout(timer), resolve()));
      s.on("data", () => {});
      s.on("error", () => (clearTimeout(timer), resolve()));
      socks.push(s);
    })));
  }
}
/** A masked text frame, as a client sends it (RFC 6455). */
function textFrame(text) {
  const body = Buffer.from(text);
  const head = body.length < 126 ? Buffer.from([0x81, 0x80 | body.length]) : Buffer.from([0x81, 0x80 | 126, body.length >> 8, body.length & 255]);
  return Buffer.concat([head, Buffer.alloc(4), body]); // a mask of zeros changes nothing
}

async function idleListeners(ctx, transport) {
  const api = new Api(ctx.url, { connections: 4 });
  const id = randomUUID();
  // a thread that has run and rests
  const warm = listenSse(api, id, ["lifecycle"]);
  await warm.opened;
  await start(api, id, "echo");
  await warm.done;
  const body = JSON.stringify({ channels: ["messages", "lifecycle"], since: 1_000_000 });
  const path = `/threads/${id}/stream/events`;
  const head = transport === "sse"
    ? () => `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
    : () => Buffer.concat([
      Buffer.from(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`),
      textFrame(JSON.stringify({ id: 1, method: "subscription.subscribe", params: { channels: ["tools"] } })),
    ]);
  const socks = [], out = {};
  const rss0 = rssMb(ctx.pid);
  for (const size of [1000, 5000].map((x) => n(ctx, x))) {
    await openMany(ctx, socks, size, head);
    await sleep(3000);
    const open = socks.filter((s) => !s.destroyed && s.bytesRead > 0).length;
    const c0 = cpuMs(ctx.pid), t0 = performance.now(), lat = [];
    for (let i = 0; i < 300; i++) {
      const s = performance.now();
      await api.text("GET", "/ok");
      lat.push(performance.now() - s);
      await sleep(20);
    }
    Object.assign(out, prefix(`n${size}`, {
      open, kb_conn: round(((rssMb(ctx.pid) - rss0) * 1024) / Math.max(1, open), 1),
      cpu_pct: round(((cpuMs(ctx.pid) - c0) * 100) / (performance.now() - t0), 1),
      ok_p50: round(median(lat)), ok_p99: round(pct(lat.toSorted((a, b) => a - b), 99)), ok_max: round(Math.max(...lat)),
    }));
  }
  for (const s of socks) s.destroy();
  await api.close();
  return out;
}

export const eventScenarios = {
  /** 500 tokens of one thread to 1, 10 and 100 SSE listeners; `got`: share of the tokens that arrived. */
  "events-sse": (ctx) => fanOut(ctx, "sse"),
  /** The same over WebSockets. */
  "events-ws": (ctx) => fanOut(ctx, "websocket"),

  /** One listener's tokens/s against the run stream's (`messages-tuple`), turn about. `ratio` is to be at least 0.9. */
  async "events-rate"(ctx) {
    const api = new Api(ctx.url, { connections: 4 });
    const legacy = [], sse = [], socket = [], channels = ["messages", "lifecycle"];
    for (let i = 0; i < n(ctx, 30); i++) {
      const { thread_id: own } = await api.thread();
      const m = await api.stream("POST", `/threads/${own}/runs/stream`, { assistant_id: "tokens", input, stream_mode: ["messages-tuple"] }, { want: "messages" });
      const marks = [];
      for (const transport of ["sse", "websocket"]) {
        const id = randomUUID();
        const one = transport === "sse" ? listenSse(api, id, channels) : await listenSocket(ctx.url, id, channels);
        await one.opened;
        await start(api, id);
        marks.push(await one.done);
      }
      if (i < 4) continue; // warms up
      legacy.push(((m.wanted - 1) * 1000) / (m.last - m.want));
      sse.push(rateOf(marks[0]));
      socket.push(rateOf(marks[1]));
    }
    await api.close();
    return {
      run_tok_s: round(median(legacy), 0), sse_tok_s: round(median(sse), 0), ws_tok_s: round(median(socket), 0),
      sse_ratio: round(median(sse) / median(legacy), 2), ws_ratio: round(median(socket) / median(legacy), 2),
    };
  },

  /** 5,000 idle listeners of a thread that rests: KB each, CPU, latency of `/ok`. */
  "events-idle-sse": (ctx) => idleListeners(ctx, "sse"),
  "events-idle-ws": (ctx) => idleListeners(ctx, "websocket"),
};
