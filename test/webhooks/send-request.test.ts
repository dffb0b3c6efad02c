import { once } from "node:events";
import http from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { isAllowedAddress } from "../../src/webhooks/address-rules.js";
import { type Resolve, sendRequest } from "../../src/webhooks/send-request.js";
import { openReceiver, type Receiver } from "./receiver.js";

const NONE = { loopback: false, privateNetworks: false };
const LOOPBACK = { loopback: true, privateNetworks: false };

const open: Receiver[] = [];
afterEach(async () => {
  for (const opened of open.splice(0)) await opened.close();
});
async function receiver(): Promise<Receiver> {
  const opened = await openReceiver();
  open.push(opened);
  return opened;
}

/** A resolver that answers one address after the other, and counts. */
function resolver(...answers: readonly (readonly string[])[]): { readonly resolve: Resolve; calls(): number } {
  let calls = 0;
  return {
    resolve: async () => {
      const addresses = answers[Math.min(calls, answers.length - 1)] ?? [];
      calls += 1;
      return addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
    },
    calls: () => calls,
  };
}

describe("which addresses may be called", () => {
  it.each([
    ["93.184.216.34", true],
    ["2606:2800:220:1:248:1893:25c8:1946", true],
    ["127.0.0.1", false],
    ["127.255.255.254", false],
    ["0.0.0.0", false],
    ["10.0.0.1", false],
    ["172.16.0.1", false],
    ["172.31.255.255", false],
    ["172.32.0.1", true],
    ["192.168.1.1", false],
    ["100.64.0.1", false],
    ["169.254.1.1", false],
    ["169.254.169.254", false],
    ["100.100.100.200", false],
    ["192.0.2.1", false],
    ["198.18.0.1", false],
    ["224.0.0.1", false],
    ["255.255.255.255", false],
    ["::", false],
    ["::1", false],
    ["::ffff:127.0.0.1", false],
    ["::ffff:7f00:1", false],
    ["::ffff:93.184.216.34", true],
    ["::7f00:1", false],
    ["::ffff:0:7f00:1", false],
    ["64:ff9b::7f00:1", false],
    ["64:ff9b::5db8:d822", true],
    ["64:ff9b:1::a00:1", false],
    // A network's own NAT64 may read 10.0.0.1 in the middle of it, whatever its end looks like.
    ["64:ff9b:1:a00:0:100:808:808", false],
    ["169.254.170.2", false],
    ["fd00:ec2::254", false],
    ["::ffff:127.0.0.1%lo", false],
    ["2606:2800:220:1:248:1893:25c8:1946%eth0", true],
    ["5f00::1", false],
    ["127.1", false],
    ["fc00::1", false],
    ["fdff::1", false],
    ["fe80::1", false],
    ["fe80::1%eth0", false],
    ["fec0::1", false],
    ["ff02::1", false],
    ["2001:db8::1", false],
    ["2002:7f00:1::", false],
    ["2001:0:7f00:1::", false],
    ["100::1", false],
    ["nonsense", false],
  ])("%s: %s", (address, allowed) => {
    expect(isAllowedAddress(address, NONE)).toBe(allowed);
  });

  it("loopback and private networks when they are allowed, metadata services never", () => {
    const all = { loopback: true, privateNetworks: true };
    for (const address of ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1", "fd00::1", "169.254.1.1"]) {
      expect(isAllowedAddress(address, all), address).toBe(true);
    }
    for (const address of ["169.254.169.254", "fd00:ec2::254", "::ffff:169.254.169.254", "224.0.0.1", "0.0.0.0"]) {
      expect(isAllowedAddress(address, all), address).toBe(false);
    }
    expect(isAllowedAddress("10.0.0.1", LOOPBACK)).toBe(false);
    expect(isAllowedAddress("127.0.0.1", { loopback: false, privateNetworks: true })).toBe(false);
  });
});

describe("a request to a receiver", () => {
  const request = (url: string) => ({ url, headers: { "x-a": "b" }, body: JSON.stringify({ text: "\u00e4" }) });

  it("connects to the very address that was checked, resolved once", async () => {
    const told = await receiver();
    const names = resolver(["127.0.0.1"], ["10.0.0.1"]);
    const url = `http://rebinding.example:${told.port}/in`;
    const answer = await sendRequest(request(url), { addresses: LOOPBACK, timeoutMs: 5_000, resolve: names.resolve });
    expect(answer).toEqual({ kind: "answered", statusCode: 204, retryAfter: null });
    expect(names.calls()).toBe(1);
    expect(told.received[0]).toMatchObject({ path: "/in", body: { text: "\u00e4" } });
    expect(told.received[0]?.headers["host"]).toBe(`rebinding.example:${told.port}`);
  });

  it.each([
    [["127.0.0.1"]],
    [["93.184.216.34", "127.0.0.1"]],
    [["::ffff:127.0.0.1"]],
    [["169.254.169.254"]],
    [["::1"]],
  ])("reaches nobody when its name leads to %j", async (addresses) => {
    const told = await receiver();
    const names = resolver(addresses);
    const url = `http://rebinding.example:${told.port}/`;
    const answer = await sendRequest(request(url), { addresses: NONE, timeoutMs: 5_000, resolve: names.resolve });
    expect(answer).toMatchObject({ kind: "failed", error: expect.stringContaining("public internet") as string });
    expect(told.received).toEqual([]);
  });

  it("reaches nobody when a name was public at first and is not any more", async () => {
    const told = await receiver();
    const names = resolver(["93.184.216.34"], ["127.0.0.1"]);
    await names.resolve("rebinding.example");
    const url = `http://rebinding.example:${told.port}/`;
    const answer = await sendRequest(request(url), { addresses: NONE, timeoutMs: 5_000, resolve: names.resolve });
    expect(answer.kind).toBe("failed");
    expect(told.received).toEqual([]);
  });

  it("does not ask a resolver about addresses, and checks them all the same", async () => {
    const told = await receiver();
    const answer = await sendRequest(request(`${told.url}/?secret=1`), { addresses: NONE, timeoutMs: 5_000 });
    expect(answer).toMatchObject({ kind: "failed" });
    expect(JSON.stringify(answer)).not.toContain("secret");
    expect(told.received).toEqual([]);
  });

  it("does not follow a redirect to 127.0.0.1", async () => {
    const [inner, outer] = [await receiver(), await receiver()];
    outer.answers((response) => response.writeHead(307, { location: `${inner.url}/admin` }).end());
    const answer = await sendRequest(request(outer.url), { addresses: LOOPBACK, timeoutMs: 5_000 });
    expect(answer).toMatchObject({ kind: "answered", statusCode: 307 });
    expect(inner.received).toEqual([]);
  });

  it("waits no longer than it is told, reads little of an answer, and says when nobody listens", async () => {
    const told = await receiver();
    told.answers(() => {});
    const slow = await sendRequest(request(told.url), { addresses: LOOPBACK, timeoutMs: 50 });
    expect(slow).toEqual({ kind: "failed", error: "no answer within 50 ms" });
    let written = 0;
    const ended = new Promise<void>((resolve) => {
      told.answers((response) => {
        response.once("close", resolve);
        const more = (): void => {
          if (response.destroyed || written > 200_000_000) return;
          written += 65_536;
          response.write(Buffer.alloc(65_536), more);
        };
        response.writeHead(200);
        more();
      });
    });
    const endless = await sendRequest(request(told.url), { addresses: LOOPBACK, timeoutMs: 5_000 });
    expect(endless).toMatchObject({ kind: "answered", statusCode: 200 });
    await ended;
    expect(written).toBeLessThan(50_000_000);
    await told.close();
    open.splice(open.indexOf(told), 1);
    const nobody = await sendRequest(request(told.url), { addresses: LOOPBACK, timeoutMs: 5_000 });
    expect(nobody).toEqual({ kind: "failed", error: "connection refused" });
  });

  it.each([
    ["HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", "ended without an answer"],
    ["HTTP/1.1 103 Early Hints\r\n\r\n", "no answer within 100 ms"],
    ["nonsense\r\n\r\n", "HPE_"],
    [`HTTP/1.1 200 OK\r\nx-a: ${"a".repeat(20_000)}\r\n\r\n`, "HPE_HEADER_OVERFLOW"],
  ])("ends in time whatever a receiver says: %.30j", async (said, error) => {
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.write(said));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const answer = await sendRequest(request(`http://127.0.0.1:${port}/`), { addresses: LOOPBACK, timeoutMs: 100 });
    server.close();
    expect(answer).toEqual({ kind: "failed", error: expect.stringContaining(error) as string });
  });

  it("asks no proxy that the environment names: it would connect to what nobody has checked", async () => {
    const [told, proxy] = [await receiver(), await receiver()];
    const before = http.globalAgent;
    // As NODE_USE_ENV_PROXY does.
    http.globalAgent = new http.Agent({ proxyEnv: { HTTP_PROXY: proxy.url } });
    try {
      http
        .request(told.url, { method: "POST" })
        .on("error", () => {})
        .end("{}");
      await proxy.got(1);
      const answer = await sendRequest(request(told.url), { addresses: LOOPBACK, timeoutMs: 5_000 });
      expect(answer).toMatchObject({ kind: "answered", statusCode: 204 });
    } finally {
      http.globalAgent.destroy();
      http.globalAgent = before;
    }
    expect([told.received.length, proxy.received.length]).toEqual([1, 1]);
  });
});
