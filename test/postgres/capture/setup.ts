import type {
  InvalidationMessage,
  InvalidationPublisher,
} from 'nestjs-cache-invalidation';
import type { TableMappings } from 'nestjs-cache-invalidation/postgres';
import { said, startApp } from '../../support/app.js';

export interface CaptureApp {
  readonly publisher: InvalidationPublisher;
  readonly messages: readonly InvalidationMessage[];
  /** Announcements since the last call, in short form and in order. */
  said(): string[];
}

/** An application whose publisher a capture uses; all that it publishes is recorded. */
export async function startCaptureApp(): Promise<CaptureApp> {
  const { publisher, messages } = await startApp();
  let seen = 0;
  return {
    publisher,
    messages,
    said: () => {
      const texts = messages
        .slice(seen)
        .flatMap((message) => said(message).split(','));
      seen = messages.length;
      return texts.toSorted();
    },
  };
}

export type { TableMappings };
