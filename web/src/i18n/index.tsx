// Two languages, typed: what one of them says, the other must say too, or it does not compile.
// Texts lie beside the page that shows them, so a page loads only its own.

import { createContext, useContext, useMemo, useState, type ReactNode } from 'react';

/** English, or Traditional Chinese. */
export type Language = 'en' | 'zh';

/** A text: words, or words that depend on something. */
type Entry =
  | string
  | ((...values: never[]) => string)
  | readonly Entry[]
  | { [key: string]: Entry };

type Shape<T> = T extends string
  ? string
  : T extends (...values: infer V) => string
    ? (...values: V) => string
    : T extends readonly (infer I)[]
      ? readonly Shape<I>[]
      : { readonly [K in keyof T]: Shape<T[K]> };

/** The texts of a page in both languages. */
export interface Texts<S> {
  en: S;
  zh: S;
}

/** Declares texts; `zh` must have exactly the shape of `en`. */
export function texts<const T extends Entry>(en: T, zh: Shape<T>): Texts<Shape<T>> {
  // What is written out has the shape of what it is written out of.
  return { en: en as unknown as Shape<T>, zh };
}

interface Choice {
  language: Language;
  choose(language: Language): void;
}

const Context = createContext<Choice>({ language: 'en', choose: () => undefined });

/** Gives the language to what is inside; it begins with the one `theme.js` has found. */
export function Languages({ children }: { children: ReactNode }) {
  const [language, setLanguage] = useState<Language>(() =>
    document.documentElement.lang.startsWith('zh') ? 'zh' : 'en',
  );
  const choice = useMemo<Choice>(
    () => ({
      language,
      choose(next) {
        document.documentElement.lang = tagOf(next);
        try {
          localStorage.setItem('tidings-language', next);
        } catch {
          // Kept for this page only.
        }
        setLanguage(next);
      },
    }),
    [language],
  );
  return <Context value={choice}>{children}</Context>;
}

/** The language, and how to choose another. */
export const useLanguage = (): Choice => useContext(Context);

/** The texts in the language of the moment. */
export function useText<S>(both: Texts<S>): S {
  return both[useContext(Context).language];
}

/** How a language is called in the standards (BCP 47). */
const tagOf = (language: Language): string => (language === 'zh' ? 'zh-Hant' : 'en');

/** Writes a number, whole or with so many digits after the point. */
export type WriteNumber = (value: number, digits?: number) => string;

/** Writes numbers as a language does. */
export function numberOf(language: Language): WriteNumber {
  const formats = new Map<number, Intl.NumberFormat>();
  return (value, digits = 0) => {
    let format = formats.get(digits);
    if (!format) {
      const bounds = { minimumFractionDigits: digits, maximumFractionDigits: digits };
      format = new Intl.NumberFormat(tagOf(language), bounds);
      formats.set(digits, format);
    }
    return format.format(value);
  };
}

/** Writes numbers as the language of the moment does. */
export function useNumber(): WriteNumber {
  const { language } = useLanguage();
  return useMemo(() => numberOf(language), [language]);
}
