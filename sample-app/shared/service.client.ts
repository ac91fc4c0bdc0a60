import {
  BadGatewayException,
  HttpException,
  Injectable,
  NotFoundException,
} from '@nestjs/common';
import { ConfigService } from '@nestjs/config';
import {
  HOST,
  INSTANCE_PORTS,
  urlVariableOf,
  type InstanceName,
} from './services.js';

const TIMEOUT_MS = 10_000;

/** Sends requests to the other services, over HTTP. */
@Injectable()
export class ServiceClient {
  constructor(private readonly config: ConfigService) {}

  /**
   * @param timeout milliseconds
   * @throws NotFoundException if the service answers 404
   * @throws BadGatewayException if it cannot be reached, or answers another error
   */
  async get<Body>(
    service: InstanceName,
    path: string,
    timeout = TIMEOUT_MS,
  ): Promise<Body> {
    const response = await this.#fetch(service, path, { timeout });
    if (response.status === 404) {
      throw new NotFoundException(`${service} has no ${path}.`);
    }
    if (!response.ok) {
      throw new BadGatewayException(`${service} answered ${response.status}.`);
    }
    return (await response.json()) as Body;
  }

  /**
   * @returns the body of the answer; `null` if it is empty
   * @throws HttpException with the status of a refusal
   * @throws BadGatewayException if it cannot be reached
   */
  async send(
    method: 'POST' | 'PUT',
    service: InstanceName,
    path: string,
    content: unknown = {},
  ): Promise<unknown> {
    const body = JSON.stringify(content);
    const response = await this.#fetch(service, path, { method, body });
    const text = await response.text();
    const answer: unknown = text === '' ? null : JSON.parse(text);
    if (!response.ok) throw new HttpException(answer ?? {}, response.status);
    return answer;
  }

  #fetch(
    service: InstanceName,
    path: string,
    { timeout = TIMEOUT_MS, ...request }: RequestInit & { timeout?: number },
  ): Promise<Response> {
    return fetch(`${this.#urlOf(service)}${path}`, {
      ...request,
      headers: { 'content-type': 'application/json' },
      signal: AbortSignal.timeout(timeout),
    }).catch((cause: unknown) => {
      throw new BadGatewayException(`${service} does not answer.`, { cause });
    });
  }

  #urlOf(service: InstanceName): string {
    return this.config.get<string>(
      urlVariableOf(service),
      `http://${HOST}:${INSTANCE_PORTS[service]}`,
    );
  }
}
