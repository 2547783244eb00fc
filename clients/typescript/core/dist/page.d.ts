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
export declare function watchPage({ woken, hidden, shown, putAway }: PageHandlers): () => void;
