import { BadRequestException, Injectable } from '@nestjs/common';
import type { PipeTransform } from '@nestjs/common';
import { ParseIdPipe } from './parse-id.pipe.js';

const MAX_IDS = 100;

/** Parses several ids of a query: `?ids=1,2,3`. */
@Injectable()
export class ParseIdsPipe implements PipeTransform<unknown, number[]> {
  readonly #one = new ParseIdPipe();

  transform(value: unknown): number[] {
    const ids = typeof value === 'string' ? value.split(',') : [];
    if (ids.length === 0 || ids.length > MAX_IDS) {
      throw new BadRequestException(
        `Give 1 to ${MAX_IDS} ids, separated by commas.`,
      );
    }
    return ids.map((id) => this.#one.transform(id));
  }
}
