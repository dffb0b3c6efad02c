import { createHash } from "node:crypto";
import path from "node:path";
import type { BuildOptions, Loader, Message, OutputFile, Plugin } from "esbuild";
import type { UiBundle, UiFile } from "../core/ui.js";
import { sharedModules } from "./shared-modules.js";
import { uiEntry } from "./ui-entry.js";

/** One entry of `ui`: an id and the file whose default export holds components by name. */
export interface UiSource {
  readonly id: string;
  /** As in langgraph.json, for messages. */
  readonly path: string;
  /** Absolute. */
  readonly file: string;
}

/** What came of a build, with the local files that took part: what a watcher must follow. */
export type UiBuild = { readonly inputs: ReadonlySet<string> } & (
  { readonly bundle: UiBundle } | { readonly errors: readonly Message[] }
);

const TYPES: Readonly<Record<string, string>> = {
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
};

/** Pictures, fonts and sounds go into the bundle: only the page that loads it knows the server's address. */
const EMBEDDED: Readonly<Record<string, Loader>> = Object.fromEntries(
  ["png jpg jpeg gif svg webp avif ico", "woff woff2 ttf otf eot", "mp3 mp4 ogg wav webm"]
    .flatMap((line) => line.split(" "))
    .map((extension) => [`.${extension}`, "dataurl"]),
);

const ENTRY = "heddle-ui-entry.js";

/** Rules that only Tailwind's compiler understands; a browser would drop them, and with them the page's looks. */
const TAILWIND = /@(?:tailwind|apply|theme)\b/;
const NEEDS_TAILWIND: Message = {
  id: "",
  pluginName: "",
  text: "the styles use Tailwind, which is not compiled here. Compile them (npx @tailwindcss/cli -i in.css -o out.css) and import the result",
  location: null,
  notes: [],
  detail: undefined,
};

/**
 * Bundle the components of one `ui` entry for browsers; nothing is written.
 * @param options.shared `ui_config.shared`
 * @param options.development readable, with source maps, and `process.env.NODE_ENV` says so
 */
export async function bundleUi(
  source: UiSource,
  options: { readonly cwd: string; readonly shared: readonly string[]; readonly development: boolean },
): Promise<UiBuild> {
  const { cwd, shared, development } = options;
  const esbuild = await import("esbuild");
  const inputs = new Set([source.file]);
  const settings: BuildOptions & { readonly write: false } = {
    stdin: { contents: uiEntry(source), resolveDir: path.dirname(source.file), sourcefile: ENTRY, loader: "js" },
    absWorkingDir: cwd,
    outdir: path.join(cwd, "heddle-ui"),
    entryNames: "entrypoint",
    bundle: true,
    write: false,
    format: "iife",
    platform: "browser",
    target: "es2022",
    jsx: "automatic",
    jsxDev: false,
    loader: EMBEDDED,
    define: { "process.env.NODE_ENV": development ? '"development"' : '"production"' },
    minify: !development,
    sourcemap: development ? "inline" : false,
    charset: "utf8",
    logLevel: "silent",
    plugins: [sharedModules(shared), localInputs(inputs)],
  };
  try {
    const { outputFiles } = await esbuild.build(settings);
    const files = outputFiles.map(uiFile);
    const script = files.find(({ name }) => name.endsWith(".js"));
    if (script === undefined) throw new Error("esbuild gave no script");
    if (files.some(({ name, text }) => name.endsWith(".css") && TAILWIND.test(text))) {
      return { errors: [NEEDS_TAILWIND], inputs };
    }
    return { bundle: { id: source.id, script, styles: files.filter((file) => file !== script) }, inputs };
  } catch (error) {
    if (!hasMessages(error)) throw error;
    return { errors: error.errors.map((message) => explained(message, source)), inputs };
  }
}

function uiFile({ path: file, text }: OutputFile): UiFile {
  const name = path.basename(file);
  const hash = createHash("sha256").update(text).digest("base64url").slice(0, 16);
  return { name, type: TYPES[path.extname(name)] ?? "application/octet-stream", text, hash };
}

/** Notes the files that a person may edit; packages are not watched. */
function localInputs(inputs: Set<string>): Plugin {
  return {
    name: "heddle-ui-inputs",
    setup(build) {
      build.onLoad({ filter: /.*/, namespace: "file" }, (args) => {
        if (!/[\\/]node_modules[\\/]/.test(args.path)) inputs.add(args.path);
        return null;
      });
    },
  };
}

/** The entry is ours: what is wrong in it is what the component file lacks. */
function explained(message: Message, source: UiSource): Message {
  if (message.location?.file !== ENTRY) return message;
  const text = message.text.startsWith("No matching export")
    ? "the file has no default export: export default { name: Component }"
    : `the file ${source.file} does not exist`;
  return { ...message, text, location: null };
}

function hasMessages(error: unknown): error is { readonly errors: readonly Message[] } {
  return typeof error === "object" && error !== null && "errors" in error && Array.isArray(error.errors);
}
