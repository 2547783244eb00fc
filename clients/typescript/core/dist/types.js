/**
 * The public shapes of the client: what can be asked for, and what is handed out.
 *
 * Types only. Names are those of the standards where there are any (`lastEventId`, `readyState`,
 * `reconnectionTime`: WHATWG HTML, section 9.2). Times are in milliseconds unless said otherwise.
 * Ids are opaque: they are compared for equality and sent back, never looked into.
 */
export {};
//# sourceMappingURL=types.js.map