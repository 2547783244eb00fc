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
    #listeners = new Map();
    #targets = new Set();
    on(type, listener) {
        let all = this.#listeners.get(type);
        if (!all)
            this.#listeners.set(type, (all = new Set()));
        // Its own function, so that the same listener can be added twice.
        const own = (value) => listener(value);
        all.add(own);
        return () => void all.delete(own);
    }
    addEventListener(...args) {
        this.#targets.add(args[0]);
        super.addEventListener(...args);
    }
    /** Whether somebody listens. */
    heard(type) {
        return !!this.#listeners.get(type)?.size || this.#targets.has(type);
    }
    emit(type, value) {
        for (const listener of [...(this.#listeners.get(type) ?? [])]) {
            guarded(() => listener(value));
        }
        if (this.#targets.has(type)) {
            this.dispatchEvent(Object.assign(new Event(type), { detail: value }));
        }
    }
}
//# sourceMappingURL=emitter.js.map