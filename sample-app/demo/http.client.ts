import { OFFSET_HEADER } from 'nestjs-cache-invalidation/http';

/** What came back, and how long it took. */
export interface Answer<Body> {
  readonly status: number;
  readonly body: Body;
  /** Where the gateway found it: `L1`, `L2`, `HIT` (in one of them) or `MISS`. */
  readonly source: string;
  /** Up to where the journal tells of what was changed; empty if nothing was. */
  readonly offset: string;
  readonly ms: number;
  /** When it was asked for, by `performance.now()`. */
  readonly begun: number;
  readonly ended: number;
}

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

const TIMEOUT_MS = 15_000;

/** Talks to the services and looks at the clock. */
export class HttpClient {
  async send<Body = unknown>(
    method: Method,
    url: string,
    content?: unknown,
  ): Promise<Answer<Body>> {
    const begun = performance.now();
    const response = await fetch(url, {
      method,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      headers: { 'content-type': 'application/json' },
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

  /** @throws Error if the answer is no success */
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
