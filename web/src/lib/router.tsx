// Which page is shown: the path says it, and links change it without loading anything anew.

import { useSyncExternalStore, type AnchorHTMLAttributes, type MouseEvent } from 'react';

const listeners = new Set<() => void>();
const tell = () => {
  for (const listener of listeners) listener();
};
window.addEventListener('popstate', tell);

/** Goes to a path of this site. */
export function go(path: string): void {
  if (path !== location.pathname + location.search + location.hash) {
    history.pushState(null, '', path);
    tell();
    window.scrollTo(0, 0);
  }
}

/** The path of the moment. */
export const usePath = (): string =>
  useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => location.pathname,
  );

/** A link within the site. */
export function Link({
  href,
  onClick,
  ...rest
}: AnchorHTMLAttributes<HTMLAnchorElement> & { href: string }) {
  const follow = (event: MouseEvent<HTMLAnchorElement>) => {
    onClick?.(event);
    const plain = !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    // The dashboard is a page of its own.
    if (href.startsWith('/_/')) return;
    if (event.defaultPrevented || event.button !== 0 || !plain) return;
    event.preventDefault();
    go(href);
  };
  return <a href={href} onClick={follow} {...rest} />;
}
