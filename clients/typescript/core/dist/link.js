/**
 * The seam between a client and what brings it events: a connection of its own, or another tab's.
 *
 * A link is told what is wanted and reports what comes, in order. It keeps a position and resumes
 * there by itself. It never decides what a subscription is handed: which events were missed before
 * a topic joined, and how they are read from history, is the client's. The promises:
 *
 * - Of each topic, every event after the position that `joined` reported comes once and in order,
 *   or a `gap` is told in its place. If that cannot be kept (a topic had to be joined anew after a
 *   break), `joined` is reported again with `since`, and the client reads what is between.
 * - Nothing is called from within a call of the client; nothing is called after `close`.
 */
export {};
//# sourceMappingURL=link.js.map