import {
  BadGatewayException,
  Injectable,
  NotFoundException,
} from '@nestjs/common';
import { ConfigService } from '@nestjs/config';
import { HOST, SERVICES, urlVariableOf, type ServiceName } from './services.js';

const TIMEOUT_MS = 10_000;

/** Reads from the other services, over HTTP. */
@Injectable()
export class ServiceClient {
  constructor(private readonly config: ConfigService) {}

  /**
   * @throws NotFoundException if the service says so
   * @throws BadGatewayException if it cannot be reached, or answers nonsense
   */
  async get<Body>(service: ServiceName, path: string): Promise<Body> {
    const response = await fetch(`${this.#urlOf(service)}${path}`, {
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).catch((cause: unknown) => {
      throw new BadGatewayException(`${service} does not answer.`, { cause });
    });
    if (response.status === 404) {
      throw new NotFoundException(`${service} has no ${path}.`);
    }
    if (!response.ok) {
      throw new BadGatewayException(`${service} answered ${response.status}.`);
    }
    return (await response.json()) as Body;
  }

  #urlOf(service: ServiceName): string {
    return this.config.get<string>(
      urlVariableOf(service),
      `http://${HOST}:${SERVICES[service]}`,
    );
  }
}
