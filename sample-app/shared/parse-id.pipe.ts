import { BadRequestException, Injectable } from '@nestjs/common';
import type { PipeTransform } from '@nestjs/common';

/** Ids that fit into a PostgreSQL `integer`, with room to spare. */
const ID = /^[1-9]\d{0,8}$/;

/** Parses an id of a path or a query. */
@Injectable()
export class ParseIdPipe implements PipeTransform<string, number> {
  transform(value: string): number {
    if (!ID.test(value)) {
      throw new BadRequestException(
        'An id is a positive whole number of at most nine digits.',
      );
    }
    return Number(value);
  }
}
