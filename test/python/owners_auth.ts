import { ownersAuth } from "../support/owners-auth.js";

/** For the server of test_auth.py. */
export const auth = ownersAuth();
