/** What a client may call its request: nothing that could break a log line. */
export const REQUEST_ID = /^[\w.:/+=@-]{1,128}$/;
