import { HeddleError } from "../../core/errors.js";

/** Hosts may be many, with commas between, which `URL` does not read. */
const MONGODB_URI = /^mongodb(?:\+srv)?:\/\/(?:[^@/?]*@)?([^@/?]+)(?:\/([^?]*))?(?:\?(.*))?$/i;

/** What Heddle needs to know of a MongoDB URI. */
export interface MongoUri {
  /** The one database that everything is kept in. */
  readonly database: string;
  /** `host:port,host:port/database`, without user and password, for messages. */
  readonly name: string;
  /** Names of the options that the URI sets, in lower case. */
  readonly options: ReadonlySet<string>;
}

/**
 * Read a MongoDB URI.
 * @throws HeddleError `CONFIG_INVALID` when it is none, or names no database
 */
export function parseMongoUri(uri: string): MongoUri {
  const found = MONGODB_URI.exec(uri);
  const hosts = found?.[1];
  if (found === null || hosts === undefined) {
    throw new HeddleError("CONFIG_INVALID", {
      message:
        'A MongoDB URI looks like "mongodb://user:password@host:27017/database" or "mongodb+srv://host/database". ' +
        "Characters such as @ : / in user or password are percent-encoded.",
    });
  }
  const database = decode(found[2] ?? "");
  if (database === "" || /[/\\. "$\0]/.test(database)) {
    throw new HeddleError("CONFIG_INVALID", {
      message:
        `The MongoDB URI must name the database, without / \\ . " $ or blanks: "mongodb://${hosts}/heddle". If users are kept in ` +
        'another one, add "?authSource=admin".',
    });
  }
  return { database, name: `${hosts}/${database}`, options: optionNames(found[3] ?? "") };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function optionNames(query: string): ReadonlySet<string> {
  return new Set([...new URLSearchParams(query).keys()].map((name) => name.toLowerCase()));
}
