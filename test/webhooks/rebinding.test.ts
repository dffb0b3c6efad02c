import { afterEach, expect, it } from "vitest";
import { type OpenedApp, openApp } from "../../src/app.js";
import { resolveConfig } from "../../src/config/resolve.js";
import * as graphs from "../fixtures/graphs/index.js";
import { openReceiver, until } from "./receiver.js";

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** A whole server whose receivers' names lead where `addresses` says, one answer after the other. */
async function open(
  url: object,
  addresses: readonly (readonly string[])[],
): Promise<{ app: OpenedApp; asked: string[] }> {
  const asked: string[] = [];
  const config = await resolveConfig({
    options: { env: {}, graphs: { ...graphs }, storage: "memory:", webhooks: { url: { requireHttps: false, ...url } } },
  });
  const app = await openApp(config, {
    logger: quiet,
    resolveHost: async (hostname) => {
      const found = addresses[Math.min(asked.length, addresses.length - 1)] ?? [];
      asked.push(hostname);
      return found.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
    },
  });
  closers.push(() => app.close());
  return { app, asked };
}

async function json(app: OpenedApp, method: string, path: string, body?: object): Promise<Record<string, unknown>> {
  const headers = { "content-type": "application/json" };
  const init = { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) };
  return (await (await app.fetch(new Request(`http://localhost${path}`, init))).json()) as Record<string, unknown>;
}

/** Runs once, and says what became of its webhook. */
async function tell(app: OpenedApp, webhook: string): Promise<() => Promise<Record<string, unknown>>> {
  await json(app, "POST", "/runs/wait", { assistant_id: "echo", input: { messages: [] }, webhook });
  const delivery = async () => {
    const [found] = (await json(app, "GET", "/webhooks/deliveries")) as unknown as Record<string, unknown>[];
    return found ?? {};
  };
  await until(async () => Number((await delivery())["attempts"]) > 0);
  return delivery;
}

it.each([[["127.0.0.1"]], [["93.184.216.34", "::1"]], [["::ffff:10.0.0.1"]], [["64:ff9b:1:7f00:0:100:808:808"]]])(
  "a name that was allowed and leads to %j reaches nobody, through the whole server",
  async (addresses) => {
    const told = await openReceiver();
    closers.push(() => told.close());
    const { app, asked } = await open({}, [addresses]);
    const delivery = await tell(app, `http://rebinding.example:${told.port}/in?token=hush`);
    expect(await delivery()).toMatchObject({
      status: "pending",
      host: `rebinding.example:${told.port}`,
      log: [{ status_code: null, error: expect.stringContaining("public internet") as string }],
    });
    expect(JSON.stringify(await delivery())).not.toContain("hush");
    expect(asked).toEqual(["rebinding.example"]);
    expect(told.received).toEqual([]);
  },
);

it("a name that changes between two attempts is judged anew each time", async () => {
  const told = await openReceiver();
  closers.push(() => told.close());
  told.answers((response) => void response.writeHead(500).end());
  const { app, asked } = await open({ disableLoopback: false }, [["127.0.0.1"], ["10.0.0.1"]]);
  const delivery = await tell(app, `http://rebinding.example:${told.port}/in`);
  expect(await delivery()).toMatchObject({ log: [{ status_code: 500 }] });
  await json(app, "POST", `/webhooks/deliveries/${String((await delivery())["delivery_id"])}/redeliver`);
  await until(async () => Number((await delivery())["attempts"]) > 1);
  expect((await delivery())["log"]).toMatchObject([
    { status_code: 500 },
    { status_code: null, error: expect.stringContaining("public internet") as string },
  ]);
  expect([asked.length, told.received.length]).toEqual([2, 1]);
});

it("a redirect to this machine is not followed, and says so", async () => {
  const [inner, outer] = [await openReceiver(), await openReceiver()];
  closers.push(
    () => inner.close(),
    () => outer.close(),
  );
  outer.answers((response) => void response.writeHead(302, { location: `${inner.url}/admin` }).end());
  const { app } = await open({ disableLoopback: false }, [["127.0.0.1"]]);
  const delivery = await tell(app, `http://outer.example:${outer.port}/`);
  expect(await delivery()).toMatchObject({
    log: [{ status_code: 302, error: expect.stringContaining("not followed") as string }],
  });
  expect(inner.received).toEqual([]);
});
