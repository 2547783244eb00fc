/** What happens to a page that concerns its connections: it is hidden, put away, woken up. */
/** Calls these until the function that is returned is called; does nothing outside of a page. */
export function watchPage({ woken, hidden, shown, putAway }) {
    const page = globalThis.document;
    const visibility = () => {
        if (page?.visibilityState === 'hidden')
            return hidden();
        shown();
        woken();
    };
    const pageshow = () => {
        shown();
        woken();
    };
    const all = [
        [globalThis, 'online', woken],
        [globalThis, 'pageshow', pageshow],
        [globalThis, 'pagehide', putAway],
        [page, 'visibilitychange', visibility],
        [page, 'resume', woken],
    ];
    for (const [target, type, run] of all)
        target?.addEventListener?.(type, run);
    return () => {
        for (const [target, type, run] of all)
            target?.removeEventListener?.(type, run);
    };
}
//# sourceMappingURL=page.js.map