// Markdown that grows without stuttering: it is cut into blocks, and only the block that is being
// written is parsed again when a piece comes.

import { memo, useMemo, useRef } from 'react';
import { Lexer } from 'marked';
import ReactMarkdown from 'react-markdown';
import remarkGfm from 'remark-gfm';
import { cx } from '../../../src/ui/cx';
import type { Resume } from './answer';

/** Blocks before the end that may still change: a list's next item, a table's next row. */
const OPEN_BLOCKS = 2;

const plugins = [remarkGfm];

/** A block and where it lies in the text. */
interface Block {
  at: number;
  text: string;
}

interface Cutter {
  text: string;
  closed: Block[];
}

/** Cuts a text that only grows; what was cut before is not looked at again. */
function cut(cutter: Cutter, text: string): Block[] {
  if (!text.startsWith(cutter.text)) cutter.closed = [];
  cutter.text = text;
  const last = cutter.closed.at(-1);
  let at = last ? last.at + last.text.length : 0;
  const open: Block[] = [];
  for (const token of new Lexer({ gfm: true }).lex(text.slice(at))) {
    open.push({ at, text: token.raw });
    at += token.raw.length;
  }
  cutter.closed.push(...open.splice(0, Math.max(0, open.length - OPEN_BLOCKS)));
  return [...cutter.closed, ...open];
}

/** Closes what is open at the end, so that `**` does not flicker. */
function mend(text: string): string {
  if (/^\s*(```|~~~)/.test(text)) return text;
  let mended = text;
  for (const mark of ['**', '`']) {
    const count = mended.split(mark).length - 1;
    if (count % 2) mended = mended.endsWith(mark) ? mended.slice(0, -mark.length) : mended + mark;
  }
  return mended;
}

/** A text in Markdown, with marks where it was resumed. */
export function Markdown(props: {
  text: string;
  growing: boolean;
  resumes: readonly Resume[];
  mark: (resume: Resume) => string;
}) {
  const cutter = useRef<Cutter>({ text: '', closed: [] });
  const blocks = useMemo(() => cut(cutter.current, props.text), [props.text]);
  const marked = new Set<Resume>();
  return (
    <div className={cx('prose', props.growing && 'caret')}>
      {blocks.map((block, index) => {
        if (!block.text.trim()) return null;
        const end = block.at + block.text.length;
        const resume = props.resumes.find(
          ({ from, to, after }) => after && from < end && to > block.at,
        );
        const first = resume && !marked.has(resume);
        if (resume) marked.add(resume);
        const last = index === blocks.length - 1;
        return (
          <div
            key={block.at}
            data-resumed={resume ? '' : undefined}
            className={cx(
              'border-l-2 pl-3 transition-colors duration-500',
              resume ? 'border-replay' : 'border-transparent',
            )}
          >
            {first && (
              <p className="resume-mark animate-rise text-xs font-medium text-replay">
                {props.mark(resume)}
              </p>
            )}
            <Part text={last && props.growing ? mend(block.text) : block.text} />
          </div>
        );
      })}
    </div>
  );
}

const Part = memo(function Part({ text }: { text: string }) {
  return (
    <ReactMarkdown remarkPlugins={plugins} components={components}>
      {text}
    </ReactMarkdown>
  );
});

const components = {
  // A table or a listing that is too wide scrolls by itself, also with the keyboard.
  table: (props: React.ComponentProps<'table'>) => (
    <div className="overflow-x-auto" tabIndex={0} role="group">
      <table>{props.children}</table>
    </div>
  ),
  pre: (props: React.ComponentProps<'pre'>) => <pre tabIndex={0}>{props.children}</pre>,
  a: (props: React.ComponentProps<'a'>) => (
    <a href={props.href} rel="noreferrer noopener" target="_blank">
      {props.children}
    </a>
  ),
};
