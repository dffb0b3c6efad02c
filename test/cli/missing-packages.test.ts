import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createMongoDatabase, hasMongo } from "../support/mongodb.js";
import { createDatabase } from "../support/postgres.js";
import { hasRedis, openTestRedis, type TestRedis } from "../support/redis.js";
import { createProject, graphFile, heddle, type Project } from "./heddle.js";

const HIDE = new URL("../fixtures/hide-packages.mjs", import.meta.url).href;
const POSTGRES = "@langchain/langgraph-checkpoint-postgres";
const MONGODB = "@langchain/langgraph-checkpoint-mongodb";
const REDIS = "@langchain/langgraph-checkpoint-redis";

let project: Project;
beforeAll(() => {
  project = createProject({ graphs: { agent: "./agent.ts:graph" } }, { "agent.ts": graphFile("x") });
});
afterAll(() => project.remove());

/** What `heddle serve` says on a machine without the package. */
function serveWithout(hidden: string, env: Readonly<Record<string, string>>) {
  return heddle(["serve", "--port", "0"], {
    cwd: project.dir,
    nodeArgs: ["--import", HIDE],
    env: { HIDDEN_PACKAGES: hidden, ...env },
  });
}

/** One sentence with the install command, and nothing else on standard error. */
function sentence(what: string, install: string): object {
  const text = `${what} needs packages that are not installed: run \`npm install ${install}\`.\n`;
  return {
    status: 1,
    stderr: expect.stringMatching(new RegExp(`^[^\n]*${text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`)) as string,
  };
}

describe("a missing optional package is one sentence with the install command", () => {
  it.each([
    ["pg", "postgres", "pg"],
    ["pg", "postgresql", "pg"],
    ["mongodb", "mongodb", "mongodb"],
    ["mongodb", "mongodb+srv", "mongodb"],
  ])("%s, of the storage %s", (hidden, scheme, install) => {
    const answer = serveWithout(hidden, { DATABASE_URI: `${scheme}://me:s3cr3t@127.0.0.1/d` });
    expect(answer).toMatchObject(sentence(`The storage "${scheme}:"`, install));
    expect(answer.stderr).not.toContain("s3cr3t");
  });

  it(`${POSTGRES}, of the checkpointer`, async () => {
    const database = await createDatabase();
    try {
      const answer = serveWithout(POSTGRES, { DATABASE_URI: database.uri });
      expect(answer).toMatchObject(sentence('The checkpointer "postgres:"', `pg ${POSTGRES}`));
    } finally {
      await database.drop();
    }
  });

  it.skipIf(!hasMongo())(`${MONGODB}, of the checkpointer`, async () => {
    const database = await createMongoDatabase();
    try {
      const answer = serveWithout(MONGODB, { DATABASE_URI: database.uri });
      expect(answer).toMatchObject(sentence('The checkpointer "mongodb:"', `mongodb ${MONGODB}`));
    } finally {
      await database.drop();
    }
  });
});

describe.skipIf(!hasRedis())("beside a storage", () => {
  let redis: TestRedis;
  beforeAll(async () => void (redis = await openTestRedis()));
  afterAll(() => redis.close());

  it("ioredis, of the event log", () => {
    const answer = serveWithout("ioredis", { REDIS_URI: redis.uniqueUri() });
    expect(answer).toMatchObject(sentence('The event log "redis:"', "ioredis"));
  });

  it("bullmq, of the dispatcher", () => {
    const answer = serveWithout("bullmq", { REDIS_URI: redis.uniqueUri() });
    expect(answer).toMatchObject(sentence('The dispatcher "redis:"', "ioredis bullmq"));
  });

  it.each([["ioredis"], [REDIS]])("%s, of the checkpointer", (hidden) => {
    const args = ["copy", "--from", "sqlite:a.db", "--to", "sqlite:b.db", "--to-checkpointer", redis.uniqueUri()];
    const answer = heddle(args, {
      cwd: project.dir,
      nodeArgs: ["--import", HIDE],
      env: { HIDDEN_PACKAGES: hidden },
    });
    expect(answer).toMatchObject(sentence('The checkpointer "redis:"', `ioredis ${REDIS}`));
  });
});
