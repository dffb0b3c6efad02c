import { Redis } from "ioredis";
import { Binary, MongoClient } from "mongodb";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";

/* Everything that lies in a database, as text: for finding what must not be there. Bytes are Latin-1, so that ASCII shows in them. */

export function rawFiles(folder: string): string {
  return readdirSync(folder)
    .map((name) => readFileSync(join(folder, name)).toString("latin1"))
    .join("\n");
}

export async function rawPostgres(uri: string): Promise<string> {
  const client = new pg.Client({ connectionString: uri });
  await client.connect();
  try {
    const tables = await client.query<{ name: string }>(
      "SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = current_schema()",
    );
    const texts: string[] = [];
    for (const { name } of tables.rows) {
      const { rows } = await client.query<Record<string, unknown>>(`SELECT * FROM ${name}`);
      texts.push(...rows.map((row) => `${name} ${textOf(row)}`));
    }
    return texts.join("\n");
  } finally {
    await client.end();
  }
}

export async function rawMongo(uri: string): Promise<string> {
  const client = await MongoClient.connect(uri);
  try {
    const texts: string[] = [];
    for (const { name } of await client.db().listCollections().toArray()) {
      for (const document of await client.db().collection(name).find().toArray())
        texts.push(`${name} ${textOf(document)}`);
    }
    return texts.join("\n");
  } finally {
    await client.close();
  }
}

export async function rawRedis(uri: string): Promise<string> {
  const client = new Redis(new URL(uri).origin === "null" ? (uri.split("?")[0] ?? uri) : uri);
  try {
    const texts: string[] = [];
    for (const key of await client.keys("*")) {
      const type = await client.type(key);
      const content =
        type === "stream"
          ? await client.xrange(key, "-", "+")
          : type === "hash"
            ? await client.hgetall(key)
            : type === "string"
              ? await client.get(key)
              : null;
      texts.push(`${key} ${JSON.stringify(content)}`);
    }
    return texts.join("\n");
  } finally {
    client.disconnect();
  }
}

function textOf(row: object): string {
  return Object.values(row)
    .map((value: unknown) => {
      if (value instanceof Uint8Array) return Buffer.from(value).toString("latin1");
      if (value instanceof Binary) return Buffer.from(value.buffer).toString("latin1");
      return typeof value === "string" ? value : JSON.stringify(value);
    })
    .join(" ")
    .replaceAll("\n", " ");
}
