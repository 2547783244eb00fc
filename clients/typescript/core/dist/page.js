/** What happens to a page that concerns its connections: it is hidden, put away, woken up. */
/** Tells the link of a client of it, until the signal says that it is over. */
export function watchPage({ options, clock }, link, over) {
    const { visibility = 'keep' } = options;
    const page = globalThis.document;
    let timer;
    const pause = (paused) => {
        clock.clearTimeout(timer);
        link()?.pause(paused);
    };
    /** Connections may be dead without having said so. */
    const woken = () => link()?.check();
    const shown = () => {
        pause(false);
        woken();
    };
    const changed = () => {
        if (page?.visibilityState !== 'hidden')
            return shown();
        if (visibility === 'keep')
            return;
        const wait = visibility === 'pause' ? 0 : visibility.pauseAfter;
        timer = clock.setTimeout(() => pause(true), wait);
    };
    const all = [
        [globalThis, 'online', woken],
        [globalThis, 'pageshow', shown],
        // Perhaps into the back-forward cache; connections would keep it out of there.
        [globalThis, 'pagehide', () => pause(true)],
        [page, 'visibilitychange', changed],
        [page, 'resume', woken],
    ];
    for (const [target, type, run] of all)
        target?.addEventListener?.(type, run);
    over.addEventListener('abort', () => {
        clock.clearTimeout(timer);
        for (const [target, type, run] of all)
            target?.removeEventListener?.(type, run);
    });
}
//# sourceMappingURL=page.js.map