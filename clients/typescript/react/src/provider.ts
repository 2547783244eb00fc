'use client';

// The client that a tree of components uses.

import { createClient, type Client, type ClientOptions } from '@tidings/client';
import {
  createContext, createElement, useContext, useEffect, useState, type ReactElement,
  type ReactNode,
} from 'react';
import { GRACE_MS } from './feed.js';

const Context = createContext<Client | undefined>(undefined);

/** A client, or what one is made of. */
export type TidingsProviderProps = { children?: ReactNode } & (
  | {
      /** A client that was made elsewhere; it is not closed here. */
      client: Client;
      url?: never;
    }
  | (ClientOptions & {
      client?: never;
    })
);

/**
 * Gives the components below it a client. With `url` it makes one and closes it when it goes; of
 * the other options only the first values count, except that `getToken` is always the newest.
 */
export function TidingsProvider(props: TidingsProviderProps): ReactElement {
  const { children, client, ...options } = props;
  if (client !== undefined) {
    return createElement(Context.Provider, { value: client }, children);
  }
  return createElement(Owner, { options: options as ClientOptions }, children);
}

interface Owned {
  url: string;
  client: Client;
  /** Changed with each render; the client asks through it. */
  latest: { options: ClientOptions };
}

function make(options: ClientOptions): Owned {
  const latest = { options };
  const { getToken } = options;
  const client = createClient(
    getToken === undefined
      ? options
      : { ...options, getToken: (why) => (latest.options.getToken ?? getToken)(why) },
  );
  return { url: String(options.url), client, latest };
}

function Owner(props: { options: ClientOptions; children?: ReactNode }): ReactElement {
  const { options, children } = props;
  const [owned, setOwned] = useState(() => make(options));
  let current = owned;
  if (owned.url !== String(options.url)) {
    current = make(options);
    setOwned(current);
  }
  const { client, latest } = current;
  useEffect(() => {
    latest.options = options;
  });
  useEffect(() => {
    // Shown again after it was hidden for longer than the grace: the old one is closed for good.
    if (!claim(client)) setOwned(make(latest.options));
    return () => release(client);
  }, [client, latest]);
  return createElement(Context.Provider, { value: client }, children);
}

const closing = new WeakMap<Client, ReturnType<typeof setTimeout>>();

/** @returns false if it is closed already */
function claim(client: Client): boolean {
  clearTimeout(closing.get(client));
  return client.readyState !== 2;
}

function release(client: Client): void {
  // After the feeds, whose own grace begins now as well.
  closing.set(client, setTimeout(() => client.close(), GRACE_MS * 2));
}

/** The client of the nearest provider. */
export function useTidings(): Client {
  const client = useContext(Context);
  if (client === undefined) {
    throw new Error('There is no TidingsProvider above this component.');
  }
  return client;
}

/** The client of the nearest provider, if there is one. */
export function useOptionalTidings(): Client | undefined {
  return useContext(Context);
}
