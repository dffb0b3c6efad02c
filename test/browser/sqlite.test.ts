import { chatSuite } from "./support/chat-suite.js";
import { serveSqlite } from "./support/servers.js";

chatSuite("SQLite", serveSqlite);
