import { compareOffsets } from '../../lib/message/index.js';
import type { DeliveryCursor, Journaled } from '../../lib/stream/index.js';

/** Numbers of the model for "no offset" and "beyond the horizon". */
const NONE = 15;
const FAR = '14-0';

/** A message of a trace; equal texts are equal messages. */
interface Traced extends Journaled {
  readonly text: string;
}

/**
 * Passes the inputs of one trace to a cursor, and compares its decisions with those
 * of the model. A trace is a list of words:
 *
 * - inputs: `new` position and limit of held messages; `m` offset, predecessor,
 *   text, and 1 for an own message; `?` doubt; `q` begin to read; `j` 1 if
 *   complete, then the entries; `t` restart at a tail; `b` begin at a tail; `x` lost
 * - decisions: `d` offset, text, and 1 if replayed; `o` an own message followed;
 *   `w` widened; `=` 1 if the chain held; `s` position, and 1 while catching up
 *
 * @returns the first difference; `null` if there is none
 */
export function replayTrace(
  Cursor: typeof DeliveryCursor,
  trace: string,
): string | null {
  const words = trace.split(' ');
  const decisions: string[] = [];
  const cursor = new Cursor<Traced>(
    {
      deliver: (message, replayed) =>
        decisions.push(delivered(message, replayed)),
      widen: () => decisions.push('w'),
    },
    {
      held: { messages: numbersOf(words[0]!.slice(3))[1]!, bytes: Infinity },
      remembered: 100,
      horizon: { allows: (offset) => compareOffsets(offset, FAR) < 0 },
    },
    () => 1,
    (one, other) => one.text === other.text,
  );
  const seen = (): void => {
    const { position, catchingUp } = cursor;
    const at = position === null ? NONE : parseInt(position);
    decisions.push(`s${at}.${Number(catchingUp)}`);
  };
  for (let next = 0; next < words.length;) {
    const input = words[next]!;
    decisions.length = 0;
    apply(cursor, input, decisions, seen);
    for (const decision of decisions) {
      next++;
      if (words[next] === decision) continue;
      return `${words.slice(0, next).join(' ')}: ${decision} instead of ${words[next]}`;
    }
    next++;
    if (next < words.length && 'dow=s'.includes(words[next]![0]!)) {
      return `${words.slice(0, next).join(' ')}: lacks ${words[next]}`;
    }
  }
  return null;
}

function apply(
  cursor: DeliveryCursor<Traced>,
  input: string,
  decisions: string[],
  seen: () => void,
): void {
  const rest = input.slice(1);
  switch (input[0]) {
    case 'n': {
      const [position = NONE] = numbersOf(input.slice(3));
      if (position !== NONE) cursor.begin(offsetOf(position));
      return;
    }
    case 'm': {
      const own = rest.endsWith('.1');
      const message = messageOf(rest);
      const { previous, offset } = message;
      if (!cursor.advance(previous, offset, own ? null : message)) {
        cursor.receive(message);
      } else decisions.push(own ? 'o' : delivered(message, false));
      break;
    }
    case '?':
      cursor.doubt();
      break;
    case 'q':
      return cursor.beginReading();
    case 'j': {
      const [complete, ...entries] = rest.split(':');
      const linked = cursor.replay(entries.map(messageOf), complete === '1');
      decisions.push(`=${Number(linked)}`);
      break;
    }
    case 't':
      cursor.restart(Number(rest) === NONE ? null : offsetOf(Number(rest)));
      break;
    case 'b':
      cursor.begin(offsetOf(Number(rest)));
      break;
    case 'x':
      cursor.lost();
      break;
    default:
      throw new Error(`No input of a trace: ${input}`);
  }
  seen();
}

const numbersOf = (text: string): number[] => text.split('.').map(Number);

const offsetOf = (number: number): string => `${number}-0`;

function messageOf(text: string): Traced {
  const [offset = 0, previous = 0, content] = numbersOf(text);
  return {
    offset: offsetOf(offset),
    previous: offsetOf(previous),
    text: String(content),
  };
}

function delivered({ offset, text }: Traced, replayed: boolean): string {
  return `d${parseInt(offset)}.${text}.${Number(replayed)}`;
}
