import { OFFSET_HEADER } from 'nestjs-cache-invalidation/http';

/** An answer, and how long it took. */
export interface Answer<Body> {
  readonly status: number;
  readonly body: Body;
  /** Source of the value: `L1`, `L2`, `HIT` (in one of them) or `MISS`. */
  readonly source: string;
  /** Journal offset of the last message that the request published; empty if there was none. */
  readonly offset: string;
  readonly ms: number;
  /** When the request was sent, by `performance.now()`. */
  readonly begun: number;
  readonly ended: number;
}

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

const TIMEOUT_MS = 15_000;

/** Sends requests to the services, and measures their time. */
export class HttpClient {
  /** @param offset what the gateway must have applied before it answers */
  async send<Body = unknown>(
    method: Method,
    url: string,
    content?: unknown,
    offset?: string,
  ): Promise<Answer<Body>> {
    const begun = performance.now();
    const response = await fetch(url, {
      method,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      headers: {
        'content-type': 'application/json',
        ...(offset === undefined ? {} : { [OFFSET_HEADER]: offset }),
      },
      body: content === undefined ? null : JSON.stringify(content),
    });
    const text = await response.text();
    const ended = performance.now();
    return {
      status: response.status,
      body: (text === '' ? null : JSON.parse(text)) as Body,
      source: response.headers.get('x-cache') ?? '',
      offset: response.headers.get(OFFSET_HEADER) ?? '',
      ms: ended - begun,
      begun,
      ended,
    };
  }

  /** @throws Error if the status is not a success */
  async mustSend<Body = unknown>(
    method: Method,
    url: string,
    content?: unknown,
  ): Promise<Answer<Body>> {
    const answer = await this.send<Body>(method, url, content);
    if (answer.status >= 300) {
      throw new Error(
        `${method} ${url} answered ${answer.status}: ${JSON.stringify(answer.body)}`,
      );
    }
    return answer;
  }
}
