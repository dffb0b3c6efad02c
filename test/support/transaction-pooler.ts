import { type AddressInfo, createServer, type Socket } from "node:net";
import pg from "pg";

/**
 * A pooler in front of Postgres that lends a server connection for one transaction, as PgBouncer does with
 * `pool_mode = transaction`: sessions do not last. Round robin, so that nobody gets the same connection twice by luck. Lets
 * everybody in; prepared statements are not carried over.
 */
export interface TransactionPooler {
  readonly port: number;
  close(): Promise<void>;
}

/** A server connection and who has it. */
interface Lent {
  readonly socket: Socket;
  readonly end: () => Promise<void>;
  client: Socket | null;
}

const AUTHENTICATED = Buffer.from("520000000800000000", "hex");
/** BackendKeyData of nobody. */
const KEY = Buffer.from("4b0000000c0000000100000001", "hex");
const READY = Buffer.from("5a0000000549", "hex");
const TERMINATE = "X".codePointAt(0);
const READY_FOR_QUERY = "Z".codePointAt(0);
const IDLE = "I".codePointAt(0);

/** @param uri of the Postgres behind it @param size server connections */
export async function startTransactionPooler(uri: string, size = 3): Promise<TransactionPooler> {
  const servers: Lent[] = [];
  for (let n = 0; n < size; n += 1) servers.push(await connectServer(uri));
  const waiting: { readonly client: Socket; readonly data: Buffer }[] = [];
  const clients = new Set<Socket>();

  const forward = (client: Socket, data: Buffer): void => {
    const mine = servers.find((server) => server.client === client);
    const free = mine ?? servers.find((server) => server.client === null);
    if (free === undefined) {
      waiting.push({ client, data });
      return;
    }
    free.client = client;
    free.socket.write(data);
  };
  for (const server of servers) {
    messages(server.socket, (message) => {
      // What comes without a question (a notification) is for nobody.
      server.client?.write(message);
      if (message[0] !== READY_FOR_QUERY || message[5] !== IDLE) return;
      server.client = null;
      servers.push(...servers.splice(servers.indexOf(server), 1));
      const next = waiting.shift();
      if (next !== undefined) forward(next.client, next.data);
    });
  }
  const listening = createServer((client) => {
    clients.add(client);
    client.on("error", () => undefined);
    client.on("close", () => clients.delete(client));
    client.once("data", () => {
      client.write(Buffer.concat([AUTHENTICATED, KEY, READY]));
      client.on("data", (data: Buffer) => {
        if (data[0] === TERMINATE) client.end();
        else forward(client, data);
      });
    });
  });
  await new Promise<void>((resolve) => listening.listen(0, "127.0.0.1", resolve));
  return {
    port: (listening.address() as AddressInfo).port,
    async close() {
      for (const client of clients) client.destroy();
      await new Promise((resolve) => listening.close(resolve));
      await Promise.all(servers.map((server) => server.end()));
    },
  };
}

/** A connection that `pg` has authenticated, from then on ours byte by byte. */
async function connectServer(uri: string): Promise<Lent> {
  const client = new pg.Client({ connectionString: uri });
  client.on("error", () => undefined);
  await client.connect();
  const { stream } = (client as unknown as { readonly connection: { readonly stream: Socket } }).connection;
  stream.removeAllListeners("data");
  const end = async (): Promise<void> => {
    stream.destroy();
  };
  return { socket: stream, end, client: null };
}

/** Cut a stream of the server into its messages: a type, a length that counts itself, content. */
function messages(socket: Socket, onMessage: (message: Buffer) => void): void {
  let rest = Buffer.alloc(0);
  socket.on("data", (data: Buffer) => {
    rest = Buffer.concat([rest, data]);
    for (;;) {
      if (rest.length < 5) return;
      const length = 1 + rest.readUInt32BE(1);
      if (rest.length < length) return;
      onMessage(rest.subarray(0, length));
      rest = rest.subarray(length);
    }
  });
}
