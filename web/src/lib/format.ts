// Numbers as people read them: bytes, durations, times. Short, so that columns stay narrow.

import { useMemo } from 'react';
import { numberOf, useLanguage, type Language } from '../i18n';

/** What stands where there is no number. */
export const NONE = '–';

/** How a language writes numbers. */
export interface Format {
  /** Whole, or with so many digits after the point. */
  number(value: number | null | undefined, digits?: number): string;
  /** `9,999`, `12.3k`, `4.5M`: at most four figures. */
  short(value: number | null | undefined): string;
  /** `1.5 MB`, in powers of a thousand. */
  bytes(value: number | null | undefined): string;
  /** Milliseconds as `0.42 ms`, `18 ms`, `1.2 s`. */
  ms(value: number | null | undefined): string;
  /** A length of time of whole units: `3 d 4 h`, `12 min`, `8 s`. */
  span(ms: number): string;
  /** The time of day of an RFC 3339 time, with milliseconds if asked for. */
  clock(time: string | number, millis?: boolean): string;
  /** Date and time of day. */
  moment(time: string | number): string;
}

const BYTES = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
const SHORT = ['', 'k', 'M', 'G', 'T'];

/** Scales by thousands, to three figures. */
function scaled(value: number, units: readonly string[]): [string, string] {
  let unit = 0;
  let left = value;
  while (Math.abs(left) >= 999.5 && unit < units.length - 1) {
    left /= 1_000;
    unit += 1;
  }
  const whole = unit === 0 && Number.isInteger(left);
  const digits = whole || Math.abs(left) >= 99.5 ? 0 : Math.abs(left) >= 9.95 ? 1 : 2;
  const text = left.toFixed(digits);
  return [digits && unit === 0 ? text.replace(/\.?0+$/, '') : text, units[unit] ?? ''];
}

const two = (value: number) => String(value).padStart(2, '0');

/** Makes them for a language. */
export function formatOf(language: Language): Format {
  const units =
    language === 'zh'
      ? { d: '天', h: '小時', min: '分', s: '秒' }
      : { d: 'd', h: 'h', min: 'min', s: 's' };
  const write = numberOf(language);
  const number = (value: number | null | undefined, digits = 0) =>
    value == null ? NONE : write(value, digits);
  const clock = (time: string | number, millis = false) => {
    const date = new Date(time);
    if (Number.isNaN(date.getTime())) return NONE;
    const text = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':');
    return millis ? `${text}.${String(date.getMilliseconds()).padStart(3, '0')}` : text;
  };
  return {
    number,
    short: (value) => {
      if (value == null) return NONE;
      return Math.abs(value) < 9_999.5 && (value % 1 === 0 || Math.abs(value) >= 100)
        ? number(value)
        : scaled(value, SHORT).join('');
    },
    bytes: (value) => (value == null ? NONE : scaled(value, BYTES).join(' ')),
    ms: (value) => {
      if (value == null) return NONE;
      if (value === 0) return '0 ms';
      if (value >= 999.5) return `${(value / 1_000).toFixed(value >= 9_950 ? 0 : 1)} s`;
      return `${value.toFixed(value >= 9.95 ? 0 : value >= 0.995 ? 1 : 2)} ms`;
    },
    span(ms) {
      const s = Math.max(0, Math.round(ms / 1_000));
      const parts: [number, string][] = [
        [Math.floor(s / 86_400), units.d],
        [Math.floor(s / 3_600) % 24, units.h],
        [Math.floor(s / 60) % 60, units.min],
        [s % 60, units.s],
      ];
      const first = parts.findIndex(([count]) => count > 0);
      if (first < 0) return `0 ${units.s}`;
      return parts
        .slice(first, first + 2)
        .filter(([count], index) => index === 0 || count > 0)
        .map(([count, unit]) => `${count} ${unit}`)
        .join(' ');
    },
    clock,
    moment(time) {
      const date = new Date(time);
      if (Number.isNaN(date.getTime())) return NONE;
      const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-');
      return `${day} ${clock(time)}`;
    },
  };
}

/** Those of the language of the moment. */
export function useFormat(): Format {
  const { language } = useLanguage();
  return useMemo(() => formatOf(language), [language]);
}
