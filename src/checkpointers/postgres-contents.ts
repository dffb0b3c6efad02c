import { HeddleError } from "../core/errors.js";
import type { SqlClient, SqlRow, Statement } from "../databases/postgres/open.js";
import { readPart } from "./packing.js";
import { fromColumns, valueColumns, type ValueColumns } from "./postgres-blobs.js";
import { PLACES, type Sealing } from "./sealing.js";
import type { Encoded } from "./serde.js";
import { fromPart, textIn, type ChannelPlace, type ContentSharing } from "./sharing.js";

/** A content that a value of a channel has a part of. */
export interface ContentName extends ChannelPlace {
  readonly content: string;
}

/** Contents by id; of text as one text. */
export type Contents = ReadonlyMap<string, Encoded>;

interface ContentRow extends SqlRow, ValueColumns {
  readonly content: string;
  readonly bytes_stored: number;
}

const CONTENTS: Statement = {
  name: "heddle_checkpoint_contents",
  text: `SELECT t.content, octet_length(t.blob) AS bytes_stored, ${valueColumns("t")}
    FROM heddle_checkpoint_contents AS t WHERE t.content = ANY ($1::text[])`,
  idempotent: true,
};

/** Reads the contents that values share; those that this process has at hand are not read again. */
export class PostgresContents {
  readonly #database: SqlClient;
  readonly #sealing: Sealing;
  readonly #sharing: ContentSharing;

  constructor(database: SqlClient, sealing: Sealing, sharing: ContentSharing) {
    this.#database = database;
    this.#sealing = sealing;
    this.#sharing = sharing;
  }

  /** @returns `null` when one of them is not there */
  async of(names: readonly ContentName[], options: { readonly remember: boolean }): Promise<Contents | null> {
    const found = new Map<string, Encoded>();
    if (names.length === 0) return found;
    const missing = new Map<string, ContentName>();
    for (const name of names) {
      const text = this.#sharing.textOf(name, name.content);
      if (text === undefined) missing.set(name.content, name);
      else found.set(name.content, text);
    }
    if (missing.size === 0) return found;
    const rows = await this.#database.query<ContentRow>(CONTENTS, [[...missing.keys()]]);
    for (const row of rows) {
      const { content } = row;
      const data = this.#sealing.open(
        fromColumns(row, () => `the shared content ${content}`),
        PLACES.content(content),
      );
      const text = textIn(data);
      found.set(content, text ?? data);
      const name = missing.get(content);
      if (options.remember && text !== null && name !== undefined) {
        this.#sharing.remember(name, content, text, row.bytes_stored);
      }
    }
    return rows.length < missing.size ? null : found;
  }
}

/**
 * A value, whole.
 * @throws HeddleError `STORAGE_UNAVAILABLE` when its content is gone
 */
export function wholeOf(
  data: Encoded,
  contents: Contents,
  of: { readonly threadId: string; readonly channel: string },
): Encoded {
  const part = readPart(data);
  if (part === null) return data;
  const content = contents.get(part.content);
  if (content !== undefined) return fromPart(part, content);
  throw new HeddleError("STORAGE_UNAVAILABLE", {
    message: `Postgres checkpointer: thread ${of.threadId} has lost a value of channel "${of.channel}".`,
    details: of,
  });
}
