// The figures that an operator looks at first, in one row.

import type { ReactNode } from 'react';
import { useText } from '../../../src/i18n';
import { NONE, useFormat } from '../../../src/lib/format';
import { cx } from '../../../src/ui/cx';
import { Card } from '../../../src/ui/surface';
import type { Overview } from '../../data/types';
import { overviewTexts } from './text';

/** The tiles. */
export function Tiles({ now }: { now: Overview | undefined }) {
  const say = useText(overviewTexts);
  const format = useFormat();
  const delivery = now?.delivery_ms;
  return (
    <Card label={say.title} className="overflow-hidden">
      <dl className="-mr-px -mb-px grid grid-cols-2 sm:grid-cols-3 xl:grid-cols-6">
        <Tile
          id="connections"
          label={say.connections}
          value={format.number(now?.connections.total)}
          line={
            now
              ? say.byTransport(
                  format.short(now.connections.sse),
                  format.short(now.connections.websocket),
                )
              : NONE
          }
        />
        <Tile
          id="events-in"
          label={say.eventsIn}
          value={format.short(now?.events.in_s)}
          unit={say.perSecond}
          line={now ? say.total(format.short(now.events.in)) : NONE}
        />
        <Tile
          id="events-out"
          label={say.eventsOut}
          value={format.short(now?.events.out_s)}
          unit={say.perSecond}
          line={now ? say.total(format.short(now.events.out)) : NONE}
        />
        <Tile
          id="p99"
          label={say.p99}
          value={format.ms(delivery?.p99)}
          line={delivery?.p50 == null ? say.noDeliveries : say.median(format.ms(delivery.p50))}
        />
        <Tile
          id="behind"
          label={say.behind}
          value={format.number(now?.behind)}
          warn={!!now?.behind}
          line={
            !now?.connections.total ? say.noneThere : now.behind ? say.someBehind : say.allLive
          }
        />
        <Tile
          id="per-connection"
          label={say.perConnection}
          value={format.bytes(now?.memory.per_connection)}
          line={now ? say.resident(format.bytes(now.memory.resident)) : NONE}
        />
      </dl>
    </Card>
  );
}

function Tile(props: {
  id: string;
  label: string;
  value: string;
  unit?: string;
  line: ReactNode;
  warn?: boolean;
}) {
  const [figure, unit] = props.unit ? [props.value, props.unit] : props.value.split(' ');
  return (
    <div className="min-w-0 border-r border-b border-line px-4 py-3.5">
      <dt className="truncate text-[0.8125rem] text-faint">{props.label}</dt>
      <dd>
        <span
          className={cx(
            'nums mt-0.5 block text-[1.625rem] leading-tight font-semibold tracking-tight',
            props.warn && 'text-warn',
          )}
        >
          <span data-figure={props.id}>{figure}</span>
          {unit && <span className="ml-1 text-sm font-normal text-faint">{unit}</span>}
        </span>
        <span className="nums mt-0.5 block truncate text-xs text-faint">{props.line}</span>
      </dd>
    </div>
  );
}
