import { PGlite } from "@electric-sql/pglite";
import { vector } from "@electric-sql/pglite-pgvector";
import { PGLiteSocketServer } from "@electric-sql/pglite-socket";

/**
 * A Postgres with pgvector in this process: PGlite behind a socket. All its connections are one session, so its schema is chosen
 * here, for one store at a time.
 */
export async function startPgvector() {
  const db = await PGlite.create({ extensions: { vector } });
  const server = new PGLiteSocketServer({ db, host: "127.0.0.1", port: 0, maxConnections: 10 });
  await server.start();
  const uri = `postgres://postgres@${server.getServerConn()}/postgres?sslmode=disable`;
  let schemas = 0;
  return {
    uri,
    db,
    /** A fresh schema for what is opened next. */
    async useSchema() {
      schemas += 1;
      const schema = `store_${schemas}`;
      await db.exec(`CREATE SCHEMA ${schema}; SET search_path TO ${schema}, public`);
      return { drop: () => db.exec(`DROP SCHEMA ${schema} CASCADE`) };
    },
    async close() {
      await server.stop();
      await db.close();
    },
  };
}
