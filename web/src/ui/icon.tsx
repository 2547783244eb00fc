// Drawn here, on a grid of 16, with one line width, so that they look like one hand.

const paths = {
  chat: 'M2.5 3.5h11v7.5H7l-3 2.5V11H2.5z',
  rooms: 'M2 3h8v5.5H6L3.5 10.500V8.500H2zM12 6h2v5.500h-1.500v2L10 11.500H7.500V10.500',
  document: 'M4 1.800h5.500L12.500 5v9.200H4zM9.300 2v3.200h3M6 8h4.500M6 10.800h4.500',
  prices: 'M2 12.500l3.500-4 2.500 2L13.800 4M10.500 4h3.300v3.300',
  compare: 'M2 5.500h10M9.500 3L12 5.500 9.500 8M14 10.500H4M6.500 8L4 10.500 6.500 13',
  home: 'M2.500 7.500L8 2.800l5.500 4.700M4 6.500v6.700h8V6.500',
  sun: 'M8 5a3 3 0 100 6 3 3 0 000-6zM8 1.500v1.300M8 13.200v1.300M1.500 8h1.300M13.200 8h1.300M3.400 3.400l.9.9M11.700 11.700l.9.9M12.600 3.400l-.9.9M4.300 11.700l-.9.9',
  moon: 'M13.300 9.800A5.700 5.700 0 016.200 2.700 5.700 5.700 0 1013.300 9.800z',
  system: 'M2 3h12v8H2zM6 13.500h4M8 11v2.500',
  language:
    'M8 2a6 6 0 100 12A6 6 0 008 2zM2 8h12M8 2c2 1.700 2.700 3.700 2.700 6S10 12.300 8 14C6 12.300 5.300 10.300 5.300 8S6 3.700 8 2z',
  cut: 'M2 8h3.500M10.500 8H14M6.500 5.500l3 5M9.500 5.500l-3 5',
  reload: 'M13 8a5 5 0 11-1.600-3.700M13.200 2v2.700h-2.700',
  tab: 'M6.500 3H3v10h10V9.500M9.500 3H13v3.500M13 3L7.500 8.500',
  stop: 'M4.500 4.500h7v7h-7z',
  send: 'M2.500 8h10M8.500 4l4 4-4 4',
  check: 'M3 8.500l3.200 3.200L13 4.800',
  copy: 'M5.500 5.500h7.500v8H5.500zM10.500 5.500V2.500H3v8h2.500',
  menu: 'M2.500 4.500h11M2.500 8h11M2.500 11.500h11',
  close: 'M4 4l8 8M12 4l-8 8',
  bell: 'M4 11V7.200a4 4 0 018 0V11l1.200 1.500H2.800zM6.700 14h2.600',
  clock: 'M8 2.200a5.800 5.800 0 100 11.600A5.800 5.800 0 008 2.200zM8 4.800V8l2.200 1.600',
  play: 'M5 3.200v9.600L12.500 8z',
  up: 'M8 13V3.500M4 7.500l4-4 4 4',
  down: 'M8 3v9.500M4 8.500l4 4 4-4',
  wire: 'M2 5h2.500v6H7V5h2.500v6H12V5h2',
  code: 'M5.500 4.500L2 8l3.500 3.500M10.500 4.500L14 8l-3.500 3.500',
  person:
    'M8 2.500a2.700 2.700 0 100 5.400 2.700 2.700 0 000-5.400zM3 13.500c.4-2.600 2.400-4 5-4s4.600 1.400 5 4',
  plus: 'M8 3.500v9M3.500 8h9',
  gauge: 'M2.500 11.500a5.500 5.500 0 1111 0M8 11.500l2.500-3.500',
  topics: 'M2.500 3.500h11M2.500 8h11M2.500 12.500h7',
  sliders: 'M2 4.500h6M11 4.500h3M9.500 3v3M2 11.500h3M8 11.500h6M6.500 10v3',
  search: 'M7 2.500a4.500 4.500 0 100 9 4.500 4.500 0 000-9zM10.300 10.300L13.500 13.500',
  pause: 'M5.500 3.500v9M10.500 3.500v9',
  key: 'M10.500 2.500a3 3 0 100 6 3 3 0 000-6zM8.400 7.600L2.500 13.500M4.500 11.500l1.500 1.500',
  leave: 'M9.500 3H3v10h6.500M6.500 8H14M11.500 5.500L14 8l-2.500 2.500',
  right: 'M6 3.500L10.500 8 6 12.500',
  terminal: 'M2 3h12v10H2zM4.500 6l2 2-2 2M8.500 10h3',
} as const;

/** The name of an icon. */
export type IconName = keyof typeof paths;

/** An icon beside words; it says nothing by itself. */
export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg
      viewBox="0 0 16 16"
      width={size}
      height={size}
      fill="none"
      stroke="currentColor"
      strokeWidth={1.5}
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden
      className="shrink-0"
    >
      <path d={paths[name]} />
    </svg>
  );
}

/** The mark: a log, and a reader's position in it. */
export function Mark({ size = 28 }: { size?: number }) {
  return (
    <svg viewBox="0 0 32 32" width={size} height={size} aria-hidden className="shrink-0">
      <rect width="32" height="32" rx="9" className="fill-tide" />
      <path
        d="M8.500 9v14M13.500 12.500v7M18.500 9v14"
        className="stroke-on-tide/70"
        strokeWidth="2.600"
        strokeLinecap="round"
      />
      <circle cx="24.200" cy="16" r="2.800" className="fill-on-tide" />
    </svg>
  );
}
