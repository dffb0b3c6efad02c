import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { afterEach, describe, expect, it } from "vitest";

const MODULE = new URL("../../src/node/run-until-signal.ts", import.meta.url).href;
const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

/** A process that waits for a signal; `stop` is the text of an async function. */
async function start(stop: string, until = "undefined") {
  const script = `
    const { runUntilSignal } = await import(${JSON.stringify(MODULE)});
    const alive = setInterval(() => {}, 1000);
    const done = runUntilSignal({ stop: ${stop}, until: ${until} });
    console.log("ready");
    console.log("ended by " + await done);
    clearInterval(alive);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  let output = "";
  let seen: () => void = () => {};
  child.stdout.on("data", (data: Buffer) => {
    output += data.toString();
    seen();
  });
  const shows = async (text: string) => {
    while (!output.includes(text)) {
      const { promise, resolve } = Promise.withResolvers<void>();
      seen = resolve;
      await promise;
    }
  };
  const exited = once(child, "exit") as Promise<[number | null, string | null]>;
  return { child, shows, exited, output: () => output };
}

describe("runUntilSignal", () => {
  it.each(["SIGINT", "SIGTERM"] as const)("%s stops in good order, once", async (signal) => {
    const { child, shows, exited, output } = await start('async (reason) => console.log("stopping " + reason)');
    await shows("ready");
    child.kill(signal);
    expect(await exited).toEqual([0, null]);
    expect(output()).toBe(`ready\nstopping ${signal}\nended by ${signal}\n`);
  });

  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("a second signal (%s) ends the process at once", async (signal, code) => {
    const { child, shows, exited } = await start('() => { console.log("hanging"); return new Promise(() => {}); }');
    await shows("ready");
    child.kill("SIGTERM");
    await shows("hanging");
    child.kill(signal);
    expect(await exited).toEqual([code, null]);
  });

  it("ends without a signal when `until` does", async () => {
    const { exited, output } = await start("async (reason) => console.log(reason)", "Promise.resolve()");
    expect(await exited).toEqual([0, null]);
    expect(output()).toBe("ready\nended\nended by ended\n");
  });
});
