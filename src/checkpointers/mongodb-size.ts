import { HeddleError } from "../core/errors.js";
import type { CheckpointSerde } from "./serde.js";

/** MongoDB's limit of a document is 16 MiB; 16 KiB of it are left for the command around it. */
export const MAX_DOCUMENT_BYTES = 16 * 1024 * 1024 - 16 * 1024;

const NAMED_CHANNELS = 5;
const LISTED_CHANNELS = 50;

/** The error of a checkpoint, or of a write, that does not fit into one document. */
export function stateTooLarge(params: {
  readonly serde: CheckpointSerde;
  /** `The state of thread x` */
  readonly what: string;
  readonly sizeBytes: number;
  readonly limitBytes: number;
  readonly values: Readonly<Record<string, unknown>>;
}): HeddleError {
  const { serde, what, sizeBytes, limitBytes } = params;
  const channels = Object.entries(params.values)
    .map(([name, value]) => ({ name, bytes: valueBytes(serde, value) }))
    .toSorted((a, b) => b.bytes - a.bytes);
  const named = channels.slice(0, NAMED_CHANNELS).map(({ name, bytes }) => `"${name}" ${megabytes(bytes)}`);
  const more = channels.length - named.length;
  return new HeddleError("STATE_TOO_LARGE", {
    message:
      `${what} has ${megabytes(sizeBytes)}, and MongoDB keeps at most ${megabytes(limitBytes)} in one document. Largest channels: ` +
      `${named.join(", ")}${more > 0 ? ` and ${more} more` : ""}. Remove what is no longer needed (messages: RemoveMessage), keep large ` +
      "values in the store or in files and only their names in the state, or use a checkpointer without this limit: " +
      'checkpointer: "postgres://…" or "sqlite:…".',
    details: { limitBytes, sizeBytes, channels: channels.slice(0, LISTED_CHANNELS) },
  });
}

function valueBytes(serde: CheckpointSerde, value: unknown): number {
  return value instanceof Uint8Array ? value.byteLength : Buffer.byteLength(serde.encodeText(value) ?? "");
}

function megabytes(bytes: number): string {
  return bytes < 100_000 ? `${bytes} bytes` : `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}
