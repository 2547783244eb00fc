// The answers of language models: which run now, how fast, who reads them; read one, stop one.

import { json } from '@tidings/client';
import { useLatest } from '@tidings/react';
import { useMemo, useState } from 'react';
import { useText } from '../../../src/i18n';
import { useFormat } from '../../../src/lib/format';
import { Segments } from '../../../src/ui/controls';
import { Card } from '../../../src/ui/surface';
import { useResource } from '../../data/resource';
import type { Answer } from '../../data/types';
import { CopyCurl, CurlLine } from '../../parts/curl';
import { PageBody, PageHead } from '../../parts/head';
import { Empty, Failure, Loading } from '../../parts/notes';
import { AnswerItem } from './answer';
import { generationsTexts } from './text';

const FILTERS = ['all', 'streaming', 'ended'] as const;

interface Answers {
  at?: string;
  answers: Answer[];
}

/** How often the list is read besides what is told, in milliseconds. */
const AGAIN_MS = 10_000;

export default function Generations({ rest }: { rest: string }) {
  const say = useText(generationsTexts);
  const format = useFormat();
  const [filter, setFilter] = useState<(typeof FILTERS)[number]>('all');
  const [open, setOpen] = useState(rest);
  const told = useLatest<Answers>('$tidings/answers', { parse: json });
  const { data: read, error, at, refresh } = useResource<Answers>('/answers', AGAIN_MS);
  // What was told is newer unless it was told before the list was read.
  const isTold = told && (!read || Date.parse(told.at ?? '') >= at - 1_000);
  const answers = (isTold ? told : read)?.answers;
  const shown = useMemo(
    () =>
      (answers ?? []).filter(
        ({ state }) => filter === 'all' || (state === 'streaming') === (filter === 'streaming'),
      ),
    [answers, filter],
  );
  return (
    <PageBody>
      <PageHead
        title={say.title}
        line={say.line}
        tools={
          <>
            <Segments
              label={say.state}
              value={filter}
              onChange={setFilter}
              options={FILTERS.map((value) => ({ value, label: say.filters[value] }))}
            />
            <CopyCurl call={{ path: '/answers' }} />
          </>
        }
      />
      {error && !answers && (
        <div className="mb-4">
          <Failure error={error} onAgain={refresh} />
        </div>
      )}
      {!answers && !error && <Loading />}
      {answers && (
        <Card label={say.title} className="overflow-hidden">
          {shown.length > 0 && (
            <ul aria-label={say.title} data-count={format.number(shown.length)}>
              {shown.map((answer) => (
                <AnswerItem
                  key={answer.id}
                  answer={answer}
                  open={answer.id === open}
                  onOpen={(is) => setOpen(is ? answer.id : '')}
                  onChange={refresh}
                />
              ))}
            </ul>
          )}
          {answers.length === 0 && (
            <Empty icon="chat" title={say.empty} line={say.emptyLine}>
              <CurlLine
                call={{
                  method: 'POST',
                  path: '/v1/chat/completions',
                  headers: { accept: 'text/event-stream' },
                  body: {
                    model: 'scripted',
                    stream: true,
                    messages: [{ role: 'user', content: 'Hello' }],
                  },
                }}
              />
            </Empty>
          )}
          {answers.length > 0 && shown.length === 0 && (
            <Empty icon="search" title={say.none} line={say.noneLine} />
          )}
        </Card>
      )}
    </PageBody>
  );
}
