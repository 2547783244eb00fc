// The messages of a room: only those in sight are drawn, older ones are read when one scrolls to
// them, and the view stays where it is when they come.

import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useLayoutEffect, useRef, useState } from 'react';
import { useLanguage, useText } from '../../../src/i18n';
import { useSignal } from '../../../src/lib/signal';
import { Avatar } from '../../../src/ui/avatar';
import { Button } from '../../../src/ui/button';
import { cx } from '../../../src/ui/cx';
import type { Hall, Message, Room } from './hall';
import { roomTexts } from './text';

/** So near to the top older messages are asked for, in pixels. */
const NEAR_TOP = 240;

/** So near to the end one follows it, in pixels. */
const NEAR_END = 80;

/** Messages of the same author in this time stand together, in milliseconds. */
const TOGETHER_MS = 120_000;

/** The list. */
export function Messages({ hall, room }: { hall: Hall; room: Room }) {
  const say = useText(roomTexts);
  const view = useSignal(hall.rooms[room]);
  const { messages } = view;
  const box = useRef<HTMLDivElement>(null);
  const [follows, setFollows] = useState(true);
  const following = useRef(true);
  const virtual = useVirtualizer({
    count: messages.length,
    getScrollElement: () => box.current,
    estimateSize: () => 52,
    getItemKey: (index) => messages[index]?.key || messages[index]?.id || index,
    overscan: 8,
  });
  const total = virtual.getTotalSize();
  const first = messages[0]?.id;
  const before = useRef({ first, total, count: 0 });
  useLayoutEffect(() => {
    const element = box.current;
    const was = before.current;
    before.current = { first, total, count: messages.length };
    if (!element) return;
    if (following.current) element.scrollTop = element.scrollHeight;
    // Older ones came above: what is in sight moves down with them.
    else if (first !== was.first && was.first && messages.length > was.count) {
      element.scrollTop += total - was.total;
    }
  }, [first, total, messages]);
  useEffect(() => {
    following.current = true;
    setFollows(true);
  }, [room]);
  useEffect(() => {
    const element = box.current;
    if (element && element.scrollHeight <= element.clientHeight) void hall.older(room);
  }, [hall, room]);
  const scrolled = () => {
    const element = box.current;
    if (!element) return;
    const rest = element.scrollHeight - element.scrollTop - element.clientHeight;
    following.current = rest < NEAR_END;
    setFollows(following.current);
    if (element.scrollTop < NEAR_TOP) void hall.older(room);
  };
  return (
    <div className="relative min-h-0 flex-1">
      <div
        ref={box}
        onScroll={scrolled}
        tabIndex={0}
        role="log"
        aria-label={say.messages(say.rooms[room])}
        className="h-full overflow-y-auto overscroll-contain"
      >
        <p className="px-4 pt-3 text-center text-xs text-faint">
          {view.loading ? `${say.older}…` : view.older ? '' : say.beginning}
        </p>
        {messages.length === 0 && !view.loading && (
          <p className="px-4 py-10 text-center text-faint">{say.empty}</p>
        )}
        <div className="relative" style={{ height: total }}>
          {virtual.getVirtualItems().map((item) => {
            const message = messages[item.index];
            const above = messages[item.index - 1];
            if (!message) return null;
            return (
              <div
                key={item.key}
                data-index={item.index}
                ref={virtual.measureElement}
                className="absolute inset-x-0 top-0"
                style={{ transform: `translateY(${item.start}px)` }}
              >
                <Line
                  message={message}
                  mine={message.author === hall.me.id}
                  together={
                    above?.author === message.author && message.time - above.time < TOGETHER_MS
                  }
                />
              </div>
            );
          })}
        </div>
      </div>
      {!follows && (
        <div className="absolute inset-x-0 bottom-2 flex justify-center">
          <Button
            small
            icon="down"
            className="shadow-float"
            onClick={() => {
              following.current = true;
              setFollows(true);
              box.current?.scrollTo({ top: box.current.scrollHeight });
            }}
          >
            {say.latest}
          </Button>
        </div>
      )}
    </div>
  );
}

function Line(props: { message: Message; mine: boolean; together: boolean }) {
  const say = useText(roomTexts);
  const { language } = useLanguage();
  const { message, together } = props;
  const tag = language === 'zh' ? 'zh-Hant' : 'en';
  const time = new Date(message.time).toLocaleTimeString(tag, {
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  return (
    <article
      data-message={message.id ? 'kept' : 'pending'}
      title={message.id}
      className={cx(
        'flex gap-3 border-l-2 px-4 hover:bg-sunken',
        together ? 'pt-0.5 pb-0.5' : 'pt-2.5 pb-0.5',
        message.replayed ? 'border-replay' : 'border-transparent',
      )}
    >
      <div className="w-8 shrink-0">
        {!together && <Avatar name={message.name} hue={message.hue} />}
      </div>
      <div className="min-w-0 flex-1">
        {!together && (
          <p className="flex items-baseline gap-2 leading-tight">
            <b className="text-sm font-semibold">{message.name}</b>
            {props.mine && <span className="text-xs text-tide">{say.you}</span>}
            <time className="nums text-xs text-faint">{time}</time>
            {message.replayed && <span className="text-xs text-replay">{say.replayed}</span>}
          </p>
        )}
        <p className={cx('whitespace-pre-wrap', !message.id && 'text-faint')}>
          {message.text}
          {!message.id && (
            <span className={cx('ml-2 text-xs', message.failed && 'text-cut')}>
              {message.failed ? say.failed : say.pending}
            </span>
          )}
        </p>
      </div>
    </article>
  );
}
