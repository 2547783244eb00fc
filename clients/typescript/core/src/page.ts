/** What happens to a page that concerns its connections: it is hidden, put away, woken up. */

/** What to do then. */
export interface PageHandlers {
  /** Shown, resumed, or online again: connections may be dead without having said so. */
  woken(): void;
  hidden(): void;
  shown(): void;
  /** It goes away, perhaps into the back-forward cache; connections would keep it out of there. */
  putAway(): void;
}

/** Calls these until the function that is returned is called; does nothing outside of a page. */
export function watchPage({ woken, hidden, shown, putAway }: PageHandlers): () => void {
  const page = globalThis.document as Document | undefined;
  const visibility = () => {
    if (page?.visibilityState === 'hidden') return hidden();
    shown();
    woken();
  };
  const pageshow = () => {
    shown();
    woken();
  };
  const all: [EventTarget | undefined, string, () => void][] = [
    [globalThis, 'online', woken],
    [globalThis, 'pageshow', pageshow],
    [globalThis, 'pagehide', putAway],
    [page, 'visibilitychange', visibility],
    [page, 'resume', woken],
  ];
  for (const [target, type, run] of all) target?.addEventListener?.(type, run);
  return () => {
    for (const [target, type, run] of all) target?.removeEventListener?.(type, run);
  };
}
