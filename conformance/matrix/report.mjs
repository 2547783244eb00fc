// What was found, as lines for a terminal and as a page for people.

const RULES = {
  bom: 'byte order mark',
  comments: 'comments',
  end_of_stream: 'end of the stream',
  event_types: '`event`',
  fields: 'fields, `data`',
  ids: '`id`',
  line_ends: 'line ends',
  retry: '`retry`',
  utf8: 'UTF-8',
};

const CONNECTIONS = {
  resume: 'resume',
  id: '`Last-Event-ID`',
  cut: 'cut off',
  retry: '`retry`',
  status: 'status, media type',
  redirect: 'redirects',
  slow: 'slow streams',
  encoding: 'gzip',
};

const BEYOND = {
  '5xx': '5xx',
  429: '429',
  silence: 'silence',
  redirect: 'original place',
  start: 'start',
};

const COLUMNS_MAX = 128;
const isWrong = ({ failed, wrong }) => (failed ? failed.length > 0 : Boolean(wrong));

/** Failures of these results, of how many. */
function count(results) {
  if (!results) return '–';
  const judged = results.filter(({ skipped }) => !skipped);
  return judged.length === 0 ? '–' : `${judged.filter(isWrong).length}`;
}

const of = (results, key, value) => results?.filter((one) => one[key] === value);

/** One line for each client. */
export function table(results) {
  const lines = results.map(({ name, version, where, decoded, connected }) => {
    const standard = count(of(connected, 'group', 'standard'));
    const beyond = count(of(connected, 'group', 'beyond'));
    const title = `${name} ${version ?? ''} (${where})`.padEnd(52);
    return `${title} decoding ${count(decoded)}  connections ${standard}  beyond ${beyond}`;
  });
  return lines.join('\n');
}

function row(cells) {
  return `| ${cells.join(' | ')} |`;
}

function grid(results, head, cells) {
  const lines = [row(['client', 'all', ...Object.values(head)])];
  lines.push(`|---|${'---|'.repeat(Object.keys(head).length + 1)}`);
  for (const one of results) {
    const name = one.own ? `**${one.name}**` : one.name;
    lines.push(row([name, ...cells(one)]));
  }
  return lines.join('\n');
}

/** Text in lines that are not too long. */
function wrap(text, indent) {
  const lines = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line && line.length + word.length + 1 > COLUMNS_MAX) {
      lines.push(line);
      line = `${indent}${word}`;
    } else line = line ? `${line} ${word}` : word;
  }
  return [...lines, line].join('\n');
}

/** What a case came to, for those who read: the fault, and in which cuts if not in all. */
function fault({ failed, wrong }, cuts) {
  if (!failed) return wrong;
  const faults = [...new Set(failed.map((one) => one.fault))].join('; ');
  const some = failed.length < cuts;
  return some ? `${faults} (${failed.map(({ how }) => how).join(', ')})` : faults;
}

const code = (text) => text.replace(/[|<>]/g, (found) => `\\${found}`);

/** A client's failures: cases of the same fault together. */
function details({ name, decoded, connected }, cuts) {
  const faults = new Map();
  const add = (one, rule) => {
    const key = `${rule}: ${fault(one, cuts)}`;
    faults.set(key, [...(faults.get(key) ?? []), one.name]);
  };
  for (const one of decoded ?? []) if (isWrong(one)) add(one, RULES[one.group]);
  for (const one of of(connected, 'group', 'standard') ?? []) {
    if (isWrong(one)) add(one, CONNECTIONS[one.rule]);
  }
  if (faults.size === 0) return undefined;
  const lines = [...faults].map(([what, names]) => {
    const shown = names.map((one) => `*${code(one)}*`).join(', ');
    return wrap(`* ${code(what)} – ${shown}`, '  ');
  });
  return `### ${name}\n\n${lines.join('\n')}`;
}

const INTRODUCTION = `# Who reads the wire how

The cases of [conformance](../conformance/README.md), run by the clients of this repository and, for
comparison, by clients that many people use. Figures are cases that failed. This page is written by
a program; \`make conformance\` runs it anew.

Each client is used as its own documentation begins, over real HTTP on this machine; several leave
it to the application to decide which status is final, and are given no such decision here. These
are tools that people work with every day; most of what fails here, they never meet. The server keeps to a
[profile](../PROTOCOL.md#6-the-event-stream) of the wire that all of them read correctly.`;

const DECODING = (cases, cuts) => `## Decoding

${cases} streams, each cut in ${cuts} ways: whole, byte by byte, in pairs, at random. A case
fails if any cut does. What is dispatched is looked at when the last byte was sent and the stream is
still open, and once more after its end; a case that fails is run again, with more patience. An id
that a client does not tell is not looked at. A browser may join pieces, so that a figure there can
differ by one or two between runs.`;

const STANDARD = (cases) => `## Connections: what the standard says

${cases} scripted servers (WHATWG HTML, section 9.2). Clients that make no connection anew are not
in this table.`;

const OWN = (cases) => `## Connections: beyond the standard

${cases} scripted servers. Here a figure is not a mistake: the standard ends an \`EventSource\` at
every status but 200, and says nothing of silence. Our clients promise to try 5xx and 429 again and
to keep \`Retry-After\`, to give up a silent connection, to go back to the original place after a
redirect, and to resume a stream without an event from where it began. A limit of silence is set
where a client has one; – means that the runner cannot set it. @tidings/client/eventsource is the
standard's class and promises no more than that.`;

const FAILED = `Of decoding and of what the standard says. *Held back*: dispatched only when more
bytes came, or the end. Where a case failed in some cuts only, they are named.`;

const text = (paragraph) =>
  paragraph
    .split('\n\n')
    .map((one) => (one.startsWith('#') ? one : wrap(one.replaceAll('\n', ' '), '')))
    .join('\n\n');

/** The page of all results. */
export function page(results) {
  const decoding = results.filter(({ decoded }) => decoded);
  const connecting = results.filter(({ connected }) => connected);
  const first = connecting[0].connected;
  const cuts = 6;
  const cells = (results_, key, head) => [
    count(results_),
    ...Object.keys(head).map((value) => count(of(results_, key, value))),
  ];
  const standard = (one) => of(one.connected, 'group', 'standard');
  const beyond = (one) => of(one.connected, 'group', 'beyond');
  const versions = results.map(({ name, version, where }) => row([name, version ?? '', where]));
  const failures = results.map((one) => details(one, cuts)).filter(Boolean);
  return `${[
    text(INTRODUCTION),
    text(DECODING(decoding[0].decoded.length, cuts)),
    grid(decoding, RULES, ({ decoded }) => cells(decoded, 'group', RULES)),
    text(STANDARD(of(first, 'group', 'standard').length)),
    grid(connecting, CONNECTIONS, (one) => cells(standard(one), 'rule', CONNECTIONS)),
    text(OWN(of(first, 'group', 'beyond').length)),
    grid(connecting, BEYOND, (one) => cells(beyond(one), 'rule', BEYOND)),
    '## Versions',
    ['| client | version | runs in |', '|---|---|---|', ...versions].join('\n'),
    '## What failed',
    text(FAILED),
    ...failures,
  ].join('\n\n')}\n`;
}
