import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runInNewContext } from "node:vm";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openApp } from "../../src/app.js";
import { resolveConfig } from "../../src/config/resolve.js";
import { counter } from "../fixtures/graphs/index.js";
import { openHttpApp } from "./app.js";

const PROJECT = new URL("../interop/project/ui/", import.meta.url).pathname;
const shared = { uiConfig: { shared: ["@acme/shared"] } };
const open = (options: object = {}) =>
  openHttpApp({ cwd: PROJECT, ui: { "my agent": "./index.tsx", counter: "./index.tsx" }, ...shared, ...options });

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "heddle-ui-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));
const write = (name: string, text: string): void => writeFileSync(join(dir, name), text);

describe("POST /ui/{graph_id}", () => {
  it("answers with links and a script that renders the component", async () => {
    const app = await open();
    const response = await app.request("POST", "/ui/my%20agent", { name: "weather" });
    expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
    const html = await response.text();
    expect(html).toMatch(
      /^<link rel="stylesheet" href="http:\/\/localhost\/ui\/my%20agent\/entrypoint\.css\?v=[\w-]{16}" \/>\n<script src="http:\/\/localhost\/ui\/my%20agent\/entrypoint\.js\?v=[\w-]{16}" onload='__LGUI_my_agent\.render\("weather", "{{shadowRootId}}"\)'><\/script>$/,
    );
  });

  it("names the host without a scheme unless it is this machine", async () => {
    const app = await open();
    for (const [origin, address] of [
      ["https://agents.example:8443", "//agents.example:8443"],
      ["http://127.0.0.1:2024", "http://127.0.0.1:2024"],
      ["http://[::1]:2024", "http://[::1]:2024"],
      ["http://localhost.example", "//localhost.example"],
    ]) {
      const html = await (await app.request("POST", `${origin}/ui/counter`, { name: "weather" })).text();
      expect(html).toContain(` src="${address}/ui/counter/entrypoint.js`);
    }
  });

  it("keeps the prefix under which it is mounted", async () => {
    const app = await open({ http: { basePath: "/deep/agent" } });
    const html = await (await app.request("POST", "/deep/agent/ui/counter", { name: "weather" })).text();
    expect(html).toContain(' src="http://localhost/deep/agent/ui/counter/entrypoint.js');
    const [, path = ""] = / src="http:\/\/localhost([^"]+)"/.exec(html) ?? [];
    expect((await app.request("GET", path)).status).toBe(200);
  });

  it("finds the components of an assistant's graph by its id", async () => {
    const app = await open();
    const { body } = await app.json("POST", "/assistants", { graph_id: "counter" });
    const id = (body as { assistant_id: string }).assistant_id;
    const html = await (await app.request("POST", `/ui/${id}`, { name: "weather" })).text();
    expect(html).toContain("/ui/counter/entrypoint.js");
    expect(html).toContain("__LGUI_counter.render");
    const other = (await app.json("POST", "/assistants", { graph_id: "echo" })).body as { assistant_id: string };
    expect((await app.request("POST", `/ui/${other.assistant_id}`, { name: "weather" })).status).toBe(404);
  });

  it("lets no name break out of the attribute", async () => {
    const app = await open();
    const name = `'"><script>alert(1)</script>&{{shadowRootId}}\u2028`;
    const html = await (await app.request("POST", "/ui/counter", { name })).text();
    const [, attribute = ""] = /onload='([^']*)'/.exec(html) ?? [];
    expect(html.match(/<script/g)).toHaveLength(1);
    expect(html.match(/\{\{shadowRootId\}\}/g)).toHaveLength(1);
    const decoded = attribute
      .replaceAll("&#39;", "'")
      .replaceAll("&lt;", "<")
      .replaceAll("&gt;", ">")
      .replaceAll("&amp;", "&");
    const args: unknown[] = [];
    runInNewContext(decoded, { __LGUI_counter: { render: (...given: unknown[]) => void args.push(...given) } });
    expect(args).toEqual([name, "{{shadowRootId}}"]);
  });

  it("says which UI is unknown, and which field is missing", async () => {
    const app = await open();
    for (const id of ["nobody", "fe096781-5601-53d2-b2f6-0d3403f7e9ca"]) {
      expect(await app.json("POST", `/ui/${id}`, { name: "weather" })).toMatchObject({
        status: 404,
        body: { detail: `UI not found for agent "${id}"` },
      });
    }
    const nameless = await app.json("POST", "/ui/counter", {});
    expect(nameless).toMatchObject({ status: 422, body: { detail: expect.stringContaining("name") as string } });
  });

  it("is gone with disable_ui, and 404 without components", async () => {
    const without = await open({ http: { disable: ["ui"] } });
    expect((await without.request("POST", "/ui/counter", { name: "weather" })).status).toBe(404);
    const empty = await openHttpApp();
    expect((await empty.request("POST", "/ui/counter", { name: "weather" })).status).toBe(404);
    expect((await empty.request("GET", "/ui/counter/entrypoint.js")).status).toBe(404);
  });
});

describe("GET /ui/{graph_id}/{file}", () => {
  it("serves script and styles with pictures inside, to keep for ever under their hash", async () => {
    const app = await open();
    const html = await (await app.request("POST", "/ui/counter", { name: "weather" })).text();
    const [, css = ""] = / href="http:\/\/localhost([^"]+)"/.exec(html) ?? [];
    const [, js = ""] = / src="http:\/\/localhost([^"]+)"/.exec(html) ?? [];
    const styles = await app.request("GET", css, undefined, { headers: { origin: "https://page.example" } });
    expect(Object.fromEntries(styles.headers)).toMatchObject({
      "content-type": "text/css; charset=utf-8",
      "cache-control": "public, max-age=31536000, immutable",
      "access-control-allow-origin": "*",
    });
    expect(await styles.text()).toContain("data:image/svg+xml");
    const script = await app.request("GET", js);
    expect(script.headers.get("content-type")).toBe("text/javascript; charset=utf-8");
    const text = await script.text();
    expect(text).toContain("data:image/svg+xml");
    expect(text).toContain("LGUI_REQUIRE");
    // React is the page's.
    expect(text.length).toBeLessThan(10_000);
  });

  it("asks again without the hash, and answers 304 to who has it", async () => {
    const app = await open();
    for (const path of ["/ui/counter/entrypoint.js", "/ui/counter/entrypoint.js?v=old"]) {
      const response = await app.request("GET", path);
      expect(response.headers.get("cache-control")).toBe("no-cache");
      const etag = response.headers.get("etag") ?? "";
      const again = await app.request("GET", path, undefined, { headers: { "if-none-match": `W/${etag}, "x"` } });
      expect(again.status).toBe(304);
      expect(await again.text()).toBe("");
    }
  });

  it.each(["/ui/counter/other.js", "/ui/counter/..%2F..%2Fpackage.json", "/ui/nobody/entrypoint.js"])(
    "%s is 404",
    async (path) => {
      const app = await open();
      expect(await app.json("GET", path)).toMatchObject({ status: 404, body: { detail: "File not found" } });
    },
  );
});

describe("components that do not build", () => {
  const failure = (ui: Record<string, string>) => openHttpApp({ cwd: dir, ui }).catch((error: unknown) => error);

  it("are named with file, line and column", async () => {
    write("bad.tsx", "export default {\n  a: <p>\n};\n");
    expect(await failure({ agent: "./bad.tsx" })).toMatchObject({
      code: "UI_BUILD_FAILED",
      message: expect.stringMatching(/^Failed to build the UI of "agent" \(\.\/bad\.tsx\): bad\.tsx:3:\d+: /) as string,
    });
  });

  it("say what to export, what is missing, and what a browser does not have", async () => {
    write("named.tsx", "export const weather = () => null;\n");
    expect(await failure({ agent: "named.tsx" })).toMatchObject({
      message:
        'Failed to build the UI of "agent" (named.tsx): the file has no default export: export default { name: Component }',
    });
    expect(await failure({ agent: "gone.tsx" })).toMatchObject({
      message: expect.stringMatching(/gone\.tsx does not exist$/) as string,
    });
    write("node.tsx", 'import { readFileSync } from "node:fs";\nexport default { a: () => readFileSync("x") };\n');
    expect(await failure({ agent: "node.tsx" })).toMatchObject({
      message: expect.stringMatching(/node\.tsx:1:\d+: Could not resolve "node:fs"/) as string,
    });
    write("package.tsx", 'import x from "not-installed";\nexport default { a: () => x };\n');
    expect(await failure({ agent: "package.tsx" })).toMatchObject({
      message: expect.stringMatching(/package\.tsx:1:\d+: Could not resolve "not-installed"/) as string,
    });
  });

  it("say that styles need a compiler, before a page looks wrong", async () => {
    write("in.css", "@tailwind utilities;\n.a { @apply p-2; }\n");
    write("ui.tsx", 'import "./in.css";\nexport default { a: () => <p className="a" /> };\n');
    expect(await failure({ agent: "ui.tsx" })).toMatchObject({
      code: "UI_BUILD_FAILED",
      message: expect.stringContaining("(ui.tsx): the styles use Tailwind") as string,
    });
  });

  it("are all named at once", async () => {
    write("named.tsx", "export const weather = () => null;\n");
    const error = (await failure({ one: "named.tsx", two: "gone.tsx" })) as Error;
    expect(error.message.split("\n")).toEqual([
      expect.stringContaining('"one" (named.tsx)'),
      expect.stringContaining('"two" (gone.tsx)'),
    ]);
  });

  it("take what the project's tsconfig says, but its jsx", async () => {
    mkdirSync(join(dir, "lib"));
    write("tsconfig.json", '{"compilerOptions": {"jsx": "preserve", "paths": {"#/*": ["./lib/*"]}}}');
    write("lib/text.ts", 'export const text = "from a path";\n');
    write("ui.tsx", 'import { text } from "#/text";\nexport default { a: () => <p>{text}</p> };\n');
    const app = await openHttpApp({ cwd: dir, ui: { agent: "ui.tsx" } });
    const script = await (await app.request("GET", "/ui/agent/entrypoint.js")).text();
    expect(script).toContain("from a path");
    expect(script).toContain('"react/jsx-runtime"');
  });
});

describe("with watch", () => {
  /** Until the served script has `text`, at most five seconds. */
  async function untilServed(app: { fetch(request: Request): Response | Promise<Response> }, text: string) {
    let last = "";
    for (let i = 0; i < 250; i++) {
      const response = await app.fetch(new Request("http://localhost/ui/agent/entrypoint.js"));
      last = `${response.status} ${await response.text()}`;
      if (last.includes(text)) return last;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`never served ${text}, but ${last.slice(0, 300)}`);
  }

  it("rebuilds on a change, keeps the old version while a new one fails, and names the mistake", async () => {
    write("part.ts", 'export const text = "one";\n');
    write("ui.tsx", 'import { text } from "./part.js";\nexport default { a: () => <p>{text}</p> };\n');
    const errors: string[] = [];
    const logger = {
      debug() {},
      info() {},
      warn() {},
      error: (_: object, message: string) => void errors.push(message),
    };
    const config = await resolveConfig({
      options: { graphs: { counter }, storage: "memory:", env: {}, cwd: dir, ui: { agent: "ui.tsx" } },
    });
    const app = await openApp(config, { logger, watch: true });
    try {
      expect(await untilServed(app, '"one"')).toContain("sourceMappingURL=data:");
      write("part.ts", 'export const text = "two";\n');
      await untilServed(app, '"two"');
      write("part.ts", "export const text = ;\n");
      await until(() => errors.length > 0);
      expect(errors).toEqual([expect.stringMatching(/"agent" \(ui\.tsx\): part\.ts:1:\d+: Unexpected/)]);
      await untilServed(app, '"two"');
      write("ui.tsx", 'import "./new.css";\nexport default { a: () => <p>three</p> };\n');
      await until(() => errors.length > 1);
      // What an unresolved import waits for.
      write("new.css", "p { color: red }\n");
      await untilServed(app, '"three"');
      expect((await app.fetch(new Request("http://localhost/ui/agent/entrypoint.css"))).status).toBe(200);
    } finally {
      await app.close();
    }
  });

  it("starts with a mistake, says 500 until it is mended", async () => {
    write("ui.tsx", "export default {");
    const logger = { debug() {}, info() {}, warn() {}, error() {} };
    const config = await resolveConfig({
      options: { graphs: { counter }, storage: "memory:", env: {}, cwd: dir, ui: { agent: "ui.tsx" } },
    });
    const app = await openApp(config, { logger, watch: true, allowGraphFailures: true });
    try {
      expect(app.uiFailures).toMatchObject([{ code: "UI_BUILD_FAILED" }]);
      await untilServed(app, '500 {"detail":"The UI could not be built.');
      write("ui.tsx", "export default { a: () => <p>mended</p> };\n");
      await untilServed(app, "mended");
    } finally {
      await app.close();
    }
  });

  async function until(probe: () => boolean): Promise<void> {
    for (let i = 0; i < 250 && !probe(); i++) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(probe()).toBe(true);
  }
});
