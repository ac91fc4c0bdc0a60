import { Logger } from '@nestjs/common';
import type { InvalidationRole } from '../common/index.js';
import { describeCause, InvalidationRedisError } from '../errors/index.js';
import { Instance } from '../message/index.js';
import { RegionRelay, ServerCheck } from '../regions/index.js';
import { ErrorReporter } from '../stream/index.js';
import { missingRights, type RightsOptions } from '../subscriber/index.js';
import {
  RedisTransport,
  type RedisTransportOptions,
} from '../transport/index.js';
import type { CliCommand } from './command.js';
import { parseCount, parseDuration } from './duration.js';
import type { Io } from './io.js';
import { LEAST_KEPT } from './redis-link.js';
import {
  regionOptions,
  regionsFrom,
  type RegionSettings,
  type RegionValues,
} from './region-settings.js';
import { targetFrom, type Target } from './target.js';
import { UsageError } from './usage.error.js';
import { jsonLine } from './visible.js';

interface RelayValues extends RegionValues {
  readonly delay?: string;
  readonly keep?: string;
}

/** The defaults of the module. */
const SETTINGS = {
  heartbeatInterval: 5_000,
  heartbeatTimeout: 3_000,
  queueByteLimit: 16_777_216,
};
/** As the command `publish` allows. */
const MAX_BYTES = 4_194_304;
/** Milliseconds between two reports. */
const REPORT_MS = 5_000;

const NOTES = `
Reads the channel and the journal of each source, and publishes in this region, whose
Redis is the one of --url, what was born there. In the applications, give the source
without a connection: regions: { local: "eu", sources: { us: {} } }.
Several of these may run, and applications that relay as well: one of them reads a
source, and another one takes its place when it is gone. What this region has taken
over is kept in its Redis; a relay that is killed goes on there.
Prints a line for each source, at most every five seconds, when something has changed.
Ends at Ctrl-C, with exit code 0.`;

/** Carries the messages of other regions into this one. @internal */
export const relay: CliCommand<RelayValues> = {
  define(command) {
    for (const option of regionOptions()) command.addOption(option);
    command
      .option(
        '--delay <time>',
        'repeat each message once after that time, such as 500ms',
      )
      .option(
        '--keep <n>',
        "entries that this region's journal keeps, as in its services (50000)",
      )
      .addHelpText('after', NOTES);
  },
  async run(values, _words, io) {
    const settings = regionsFrom(values, io.env);
    if (settings === null) {
      throw new UsageError(
        'No region is given.',
        'Give --region and --source, such as --region eu --source us=redis://host:port.',
      );
    }
    const delay =
      values.delay === undefined
        ? undefined
        : parseDuration('delay', values.delay);
    const keep =
      values.keep === undefined
        ? LEAST_KEPT
        : parseCount('keep', values.keep, Number.MAX_SAFE_INTEGER);
    const target = targetFrom(values, io.env);
    const stop = io.stopping();
    const relays = new Relays(settings, target, { delay, keep }, io);
    await relays.run(stop.signal, values.json === true);
    return 0;
  },
};

/** The relays of one run of the command. */
class Relays {
  readonly #transport: RedisTransport;
  readonly #relays: readonly RegionRelay[];
  readonly #errors = new ErrorReporter();
  readonly #needs: RightsOptions;
  #begun = false;

  constructor(
    { local, sources }: RegionSettings,
    target: Target,
    {
      delay,
      keep,
    }: { readonly delay: number | undefined; readonly keep: number },
    private readonly io: Io,
  ) {
    const instance = new Instance('relay', local);
    const delayed = delay === undefined ? {} : { delay };
    const regions = {
      sources: Object.fromEntries(
        sources.map(({ name, target: { connection } }) => [
          name,
          { connection },
        ]),
      ),
    };
    this.#needs = { ...SETTINGS, ...target, role: 'publisher', regions };
    this.#transport = open(target, 'publisher', keep, regions);
    const check = new ServerCheck(
      local,
      this.#transport,
      (error) => this.#errors.report(error),
      false,
    );
    this.#relays = sources.map(
      ({ name, transit, target: source }) =>
        new RegionRelay(
          name,
          { transit, ...delayed },
          {
            options: { ...SETTINGS, maxMessageBytes: MAX_BYTES },
            local,
            transport: this.#transport,
            instance,
            sources: sources.map((each) => each.name),
            errors: this.#errors,
            check,
            open: () => open(source, 'subscriber', 1),
          },
        ),
    );
  }

  /**
   * Relays until the signal.
   *
   * @throws InvalidationConfigurationError if Redis of this region withholds a right
   */
  async run(signal: AbortSignal, json: boolean): Promise<void> {
    const { io } = this;
    Logger.overrideLogger({
      log: (line: string) => io.note(line),
      warn: (line: string) => io.note(line),
      error: (line: string) => io.note(line),
    });
    const last = new Map<string, string>();
    const report = (): void => {
      for (const each of this.#relays) {
        const line = json ? jsonLine(stateOf(each)) : textOf(each);
        if (last.get(each.source) !== line) io.out(line);
        last.set(each.source, line);
      }
    };
    const timer = setInterval(report, REPORT_MS);
    const refusal = await new Promise<Error | null>((resolve) => {
      this.#open(() =>
        this.#begin(signal).then((error) => error && resolve(error)),
      );
      signal.addEventListener('abort', () => resolve(null), { once: true });
      if (signal.aborted) resolve(null);
    });
    clearInterval(timer);
    if (refusal === null) report();
    await Promise.all(this.#relays.map((each) => each.stop()));
    await this.#transport.close();
    if (refusal !== null) throw refusal;
  }

  #open(onWritable: () => unknown): void {
    this.#transport.start(
      {
        onMessage: () => undefined,
        onUnverified: () => undefined,
        onSubscribed: () => undefined,
        onLost: () => undefined,
        onWritable: () => void onWritable(),
        onError: (cause) => this.#away(cause),
      },
      false,
    );
  }

  /**
   * Starts the relays at the first connection.
   *
   * @returns the error if Redis withholds a right
   */
  async #begin(signal: AbortSignal): Promise<Error | null> {
    if (this.#begun) return null;
    this.#begun = true;
    const error = await missingRights(this.#transport, this.#needs);
    if (error !== null || signal.aborted) return error;
    for (const each of this.#relays) each.start();
    return null;
  }

  #away(cause: Error): void {
    this.#errors.report(
      new InvalidationRedisError(
        `Redis of this region: ${describeCause(cause)}.`,
        'Trying again; until then nothing is relayed.',
        cause,
      ),
    );
  }
}

function open(
  target: Target,
  role: InvalidationRole,
  maxLength: number,
  regions?: RedisTransportOptions['regions'],
): RedisTransport {
  const { connection, channel, sharded, signing } = target;
  return new RedisTransport({
    connection,
    channel,
    sharded,
    signing,
    role,
    regions,
    journal: { maxLength },
    maxMessageBytes: MAX_BYTES,
  });
}

function stateOf({ source, isHolder, log }: RegionRelay) {
  const widened = Object.fromEntries(log.widenedBy);
  return { source, relays: isHolder, forwarded: log.forwarded, widened };
}

function textOf(each: RegionRelay): string {
  const { source, relays, forwarded, widened } = stateOf(each);
  const causes = Object.entries(widened).map(
    ([cause, count]) => `, everything ${count} times (${cause})`,
  );
  const state = relays ? 'relayed by this process' : 'not relayed by this one';
  return `${source}: ${state}; ${forwarded} messages forwarded${causes.join('')}`;
}
