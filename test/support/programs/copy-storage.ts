import { copyStorage } from "../../../src/maintenance/copy-storage.js";
import { openCopySide } from "../../../src/maintenance/open-side.js";

/** `copy-storage <from> <to>`: what `heddle copy` does; a line for every page, and the result as the last one. */
const [from = "", to = ""] = process.argv.slice(2);
const say = (message: unknown): void => void process.stdout.write(`${JSON.stringify(message)}\n`);
const source = await openCopySide({ uri: from, cwd: "/" });
const target = await openCopySide({ uri: to, cwd: "/" });
const result = await copyStorage({ from: source, to: target, onProgress: say });
await target.close();
await source.close();
say({ result });
