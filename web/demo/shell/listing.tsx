// "Show the code": what a page does, in the four ways in which people would write it.

import { useState } from 'react';
import { texts, useText } from '../../src/i18n';
import { Code } from '../../src/ui/code';
import { Segments } from '../../src/ui/controls';

/** The code of a page, by language. */
export interface Listings {
  typescript: string;
  react: string;
  python: string;
  curl: string;
}

const words = texts(
  { name: 'Language', note: 'All that the page needs, without its looks.' },
  { name: '程式語言', note: '這一頁所需的全部程式，不含外觀。' },
);

const names = { typescript: 'TypeScript', react: 'React', python: 'Python', curl: 'curl' } as const;

/** The listings, one at a time. */
export function Listing({ code }: { code: Listings }) {
  const say = useText(words);
  const [shown, setShown] = useState<keyof Listings>('typescript');
  return (
    <div>
      <div className="flex flex-wrap items-center justify-between gap-2 px-4 py-2">
        <p className="text-[0.8125rem] text-faint">{say.note}</p>
        <Segments
          label={say.name}
          value={shown}
          onChange={setShown}
          options={(Object.keys(names) as (keyof Listings)[]).map((value) => ({
            value,
            label: names[value],
          }))}
        />
      </div>
      <div className="h-72 overflow-y-auto border-t border-line bg-sunken">
        <Code text={code[shown]} label={names[shown]} />
      </div>
    </div>
  );
}
