/**
 * Listeners: `on` for functions, `addEventListener` for those who are used to it.
 *
 * A listener that throws is reported as an uncaught error; it neither keeps others from hearing nor
 * breaks the stream.
 */
/** Runs what is not ours to fail with. */
export declare function guarded(run: () => void): void;
/** An `EventTarget` whose events are typed. The value is the event's `detail`. */
export declare class Emitter<Events> extends EventTarget {
    #private;
    on<K extends keyof Events & string>(type: K, listener: (value: Events[K]) => void): () => void;
    addEventListener(...args: Parameters<EventTarget['addEventListener']>): void;
    /** Whether somebody listens. */
    protected heard(type: keyof Events & string): boolean;
    protected emit<K extends keyof Events & string>(type: K, value: Events[K]): void;
}
