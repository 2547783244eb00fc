// How the server is doing: figures of now, and how they came to be over the last minutes.

import { useState } from 'react';
import { useText } from '../../../src/i18n';
import { useFormat } from '../../../src/lib/format';
import { Segments } from '../../../src/ui/controls';
import { Callout } from '../../../src/ui/surface';
import { OVERVIEW, useNow, useOverview, useTrack } from '../../data/overview';
import { CopyCurl } from '../../parts/curl';
import { PageBody, PageHead } from '../../parts/head';
import { PageFailure } from '../../parts/notes';
import { Charts } from './charts';
import { Details } from './details';
import { overviewTexts } from './text';
import { Tiles } from './tiles';

const SPANS = ['60', '300', '900'] as const;

const follow = {
  path: `/topics/${encodeURI(OVERVIEW)}?last=1`,
  headers: { accept: 'text/event-stream' },
};

export default function OverviewPage() {
  const say = useText(overviewTexts);
  const format = useFormat();
  const now = useNow();
  const { error } = useOverview();
  const [span, setSpan] = useState<(typeof SPANS)[number]>('300');
  const track = useTrack(Number(span));
  return (
    <PageBody>
      <PageHead
        title={say.title}
        line={now ? say.line(now.version, format.span(now.uptime_s * 1_000)) : say.waiting}
        tools={
          <>
            <Segments
              label={say.range}
              value={span}
              onChange={setSpan}
              options={SPANS.map((value) => ({
                value,
                label: say.minutes(String(Number(value) / 60)),
              }))}
            />
            <CopyCurl call={follow} />
          </>
        }
      />
      <PageFailure error={error} />
      {now && !now.log.healthy && (
        <div role="alert" className="mb-4">
          <Callout tone="cut">{say.brokenLine}</Callout>
        </div>
      )}
      <Tiles now={now} />
      <Charts track={track} span={Number(span)} />
      <Details now={now} />
    </PageBody>
  );
}
