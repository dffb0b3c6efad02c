import { schemeOf, type DriverContext } from "../core/driver.js";
import { HeddleError } from "../core/errors.js";

/** Tables of one part of Heddle in a database. */
export interface ComponentVersion {
  /** `metadata`, `items`, `events`, `checkpoints`, … */
  readonly name: string;
  /** 0: Heddle never made them here. */
  readonly stored: number;
  /** What this Heddle works with. */
  readonly latest: number;
}

export interface SchemaVersions {
  /** Without secrets. */
  readonly database: string;
  /** Empty for a database that needs no migrations (`memory:`, `redis:`). */
  readonly components: readonly ComponentVersion[];
  /** Components that only a newer Heddle knows. */
  readonly unknown: readonly string[];
}

/** What a database keeps for a server: all of it, all but checkpoints (they are elsewhere), or checkpoints alone. */
export type KeptParts = "all" | "storage" | "checkpoints";

/** A component and its list of migrations, as each database spells them. */
interface Component<Migration> {
  readonly name: string;
  readonly migrations: readonly Migration[];
}

interface Access {
  readonly uri: string;
  readonly context: DriverContext;
  readonly parts: KeptParts;
}

interface SchemaDriver {
  inspect(access: Access): Promise<SchemaVersions>;
  upgrade(access: Access): Promise<void>;
}

/**
 * Which versions the tables of a database have, and which they should have. Changes nothing.
 * @throws HeddleError `SCHEME_UNKNOWN`, `DEPENDENCY_MISSING`, `STORAGE_UNAVAILABLE`
 */
export async function inspectSchema(access: Access): Promise<SchemaVersions> {
  return driverOf(access.uri).inspect(access);
}

/**
 * Bring a database up to date, as every server does when it opens it.
 * @throws HeddleError as {@link inspectSchema}; `STORAGE_UNAVAILABLE` when the database is newer than this Heddle
 */
export async function upgradeSchema(access: Access): Promise<void> {
  await driverOf(access.uri).upgrade(access);
}

/** Components that are behind. */
export function pendingComponents(versions: SchemaVersions): readonly ComponentVersion[] {
  return versions.components.filter(({ stored, latest }) => stored < latest);
}

/** Components that a newer Heddle has written: this one can't work with them. */
export function newerComponents(versions: SchemaVersions): readonly ComponentVersion[] {
  return versions.components.filter(({ stored, latest }) => stored > latest);
}

function driverOf(uri: string): SchemaDriver {
  const scheme = schemeOf(uri);
  const driver = scheme === null ? undefined : DRIVERS.get(scheme);
  if (driver === undefined) {
    const known = [...DRIVERS.keys()].map((name) => `${name}:`).join(", ");
    throw new HeddleError("SCHEME_UNKNOWN", {
      message: `Heddle keeps no tables at "${scheme ?? ""}:". Known schemes: ${known}`,
      details: { scheme },
    });
  }
  return driver;
}

function kept<Migration>(
  parts: KeptParts,
  storage: readonly Component<Migration>[],
  checkpoints: readonly Component<Migration>[],
): readonly Component<Migration>[] {
  return [...(parts === "checkpoints" ? [] : storage), ...(parts === "storage" ? [] : checkpoints)];
}

/** @param known of all parts, also of those that are not asked for */
function versionsOf(
  database: string,
  components: readonly Component<unknown>[],
  known: readonly Component<unknown>[],
  stored: ReadonlyMap<string, number>,
): SchemaVersions {
  return {
    database,
    unknown: [...stored.keys()].filter((name) => !known.some((component) => component.name === name)),
    components: components.map(({ name, migrations }) => ({
      name,
      stored: stored.get(name) ?? 0,
      latest: migrations.length,
    })),
  };
}

const nothing: SchemaDriver = {
  inspect: async ({ uri }) => ({ database: `${schemeOf(uri) ?? ""}:`, components: [], unknown: [] }),
  upgrade: async () => {},
};

const sqlite: SchemaDriver = {
  async inspect({ uri, context, parts }) {
    const [{ lookIntoSqlite }, { storedVersions }, components] = await Promise.all([
      import("../databases/sqlite/open.js"),
      import("../databases/sqlite/migrate.js"),
      sqliteComponents(parts),
    ]);
    const { sqlitePath } = await import("../databases/sqlite/uri.js");
    const stored = await lookIntoSqlite(uri, context.cwd, storedVersions);
    return versionsOf(sqlitePath(uri, context.cwd), components, await sqliteComponents("all"), stored ?? new Map());
  },
  async upgrade({ uri, context, parts }) {
    const [{ openSqlite }, { migrate }, components] = await Promise.all([
      import("../databases/sqlite/open.js"),
      import("../databases/sqlite/migrate.js"),
      sqliteComponents(parts),
    ]);
    const database = await openSqlite(uri, context);
    try {
      for (const { name, migrations } of components) migrate(database.db, name, migrations);
    } finally {
      database.close();
    }
  },
};

async function sqliteComponents(parts: KeptParts): Promise<readonly Component<string>[]> {
  const [stores, webhooks, crons, records, events, checkpoints] = await Promise.all([
    import("../stores/sqlite/migrations.js"),
    import("../stores/sqlite/webhook-migrations.js"),
    import("../stores/sqlite/cron-migrations.js"),
    import("../stores/sqlite/record-migrations.js"),
    import("../streaming/sqlite-event-statements.js"),
    import("../checkpointers/sqlite-schema.js"),
  ]);
  return kept(
    parts,
    [
      { name: "metadata", migrations: stores.METADATA_MIGRATIONS },
      { name: "webhooks", migrations: webhooks.WEBHOOK_MIGRATIONS },
      { name: "crons", migrations: crons.CRON_MIGRATIONS },
      { name: "records", migrations: records.RECORD_MIGRATIONS },
      { name: "items", migrations: stores.ITEM_MIGRATIONS },
      { name: "events", migrations: events.EVENT_MIGRATIONS },
    ],
    [{ name: "checkpoints", migrations: checkpoints.CHECKPOINT_MIGRATIONS }],
  );
}

const postgres: SchemaDriver = {
  async inspect({ uri, context, parts }) {
    const [{ openPostgres }, { storedVersions }, components] = await Promise.all([
      import("../databases/postgres/open.js"),
      import("../databases/postgres/migrate.js"),
      postgresComponents(parts),
    ]);
    const database = await openPostgres(uri, context);
    try {
      return versionsOf(database.name, components, await postgresComponents("all"), await storedVersions(database));
    } finally {
      await database.close();
    }
  },
  async upgrade({ uri, context, parts }) {
    const [{ openPostgres }, { migrate }, components] = await Promise.all([
      import("../databases/postgres/open.js"),
      import("../databases/postgres/migrate.js"),
      postgresComponents(parts),
    ]);
    const database = await openPostgres(uri, context);
    try {
      await migrate(database, components);
    } finally {
      await database.close();
    }
  },
};

async function postgresComponents(parts: KeptParts): Promise<readonly Component<string>[]> {
  const [stores, presence, events, checkpoints] = await Promise.all([
    import("../stores/postgres/migrations.js"),
    import("../databases/postgres/presence.js"),
    import("../streaming/postgres-event-storage.js"),
    import("../checkpointers/postgres-schema.js"),
  ]);
  return kept(
    parts,
    [...stores.COMPONENTS, presence.PRESENCE_COMPONENT, events.EVENT_COMPONENT],
    [checkpoints.CHECKPOINT_TABLES],
  );
}

const mongodb: SchemaDriver = {
  async inspect({ uri, context, parts }) {
    const [{ openMongo }, { storedVersions }, components] = await Promise.all([
      import("../databases/mongodb/open.js"),
      import("../databases/mongodb/migrate.js"),
      mongoComponents(parts),
    ]);
    const database = await openMongo(uri, context);
    try {
      return versionsOf(database.name, components, await mongoComponents("all"), await storedVersions(database));
    } finally {
      await database.close();
    }
  },
  async upgrade({ uri, context, parts }) {
    const [{ openMongo }, { migrate }, components] = await Promise.all([
      import("../databases/mongodb/open.js"),
      import("../databases/mongodb/migrate.js"),
      mongoComponents(parts),
    ]);
    const database = await openMongo(uri, context);
    try {
      await migrate(database, components);
    } finally {
      await database.close();
    }
  },
};

async function mongoComponents(parts: KeptParts) {
  const [stores, events, checkpoints] = await Promise.all([
    import("../stores/mongodb/collections.js"),
    import("../streaming/mongodb-event-documents.js"),
    import("../checkpointers/mongodb.js"),
  ]);
  return kept(
    parts,
    [
      { name: "metadata", migrations: stores.METADATA_MIGRATIONS },
      { name: "webhooks", migrations: stores.WEBHOOK_MIGRATIONS },
      { name: "crons", migrations: stores.CRON_MIGRATIONS },
      { name: "records", migrations: stores.RECORD_MIGRATIONS },
      { name: "items", migrations: stores.ITEM_MIGRATIONS },
      events.EVENTS,
    ],
    [checkpoints.CHECKPOINTS],
  );
}

const DRIVERS: ReadonlyMap<string, SchemaDriver> = new Map([
  ["sqlite", sqlite],
  ["postgres", postgres],
  ["postgresql", postgres],
  ["mongodb", mongodb],
  ["mongodb+srv", mongodb],
  ["redis", nothing],
  ["rediss", nothing],
  ["memory", nothing],
]);
