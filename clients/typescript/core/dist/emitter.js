/**
 * Listeners: `on` for functions, `addEventListener` for those who are used to it.
 *
 * A listener that throws is reported as an uncaught error; it neither keeps others from hearing nor
 * breaks the stream.
 */
/** Runs what is not ours to fail with. */
export function guarded(run) {
    try {
        run();
    }
    catch (error) {
        queueMicrotask(() => {
            throw error;
        });
    }
}
/** An `EventTarget` whose events are typed. The value is the event's `detail`. */
export class Emitter extends EventTarget {
    /** How many listeners there are. Those of `addEventListener` stay counted. */
    #heard = {};
    on(type, listener) {
        // Its own function, so that the same listener can be added twice.
        let own = (event) => listener(event.detail);
        this.addEventListener(type, own);
        return () => {
            if (!own)
                return;
            this.removeEventListener(type, own);
            this.#heard[type]--;
            own = undefined;
        };
    }
    addEventListener(...args) {
        this.#heard[args[0]] = (this.#heard[args[0]] ?? 0) + 1;
        super.addEventListener(...args);
    }
    /** Whether somebody listens. */
    heard(type) {
        return !!this.#heard[type];
    }
    emit(type, value) {
        if (this.heard(type))
            this.dispatchEvent(Object.assign(new Event(type), { detail: value }));
    }
}
//# sourceMappingURL=emitter.js.map