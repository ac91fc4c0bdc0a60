/**
 * Not run: `tsc` compiles it. Each `@ts-expect-error` is an error of its own
 * where the line below it compiles.
 */
import {
  fromResult,
  InvalidatesCache,
  InvalidatesCachePattern,
  OnInvalidation,
  type InvalidationMessage,
} from 'nestjs-cache-invalidation';
import type { Observable } from 'rxjs';

interface UserDto {
  readonly id: string;
}

interface User {
  readonly id: number;
  readonly friends: readonly number[];
}

declare const user: User;
declare const user$: Observable<User>;

export class SelectorsOfArguments {
  @InvalidatesCache('User', (dto: UserDto) => dto.id)
  async sameParameter(_dto: UserDto): Promise<void> {}

  @InvalidatesCache('User', (dto: { id: string | number }) => dto.id)
  async widerParameter(_dto: UserDto): Promise<void> {}

  @InvalidatesCache('User', (dto) => dto.id)
  async untypedLambda(_dto: UserDto): Promise<void> {}

  @InvalidatesCache('User', () => 'me')
  async noParameters(_dto: UserDto): Promise<void> {}

  @InvalidatesCache('User', (id: string) => id)
  async fewerParameters(_id: string, _dto: UserDto): Promise<void> {}

  @InvalidatesCache('User', (dto: UserDto, by?: number) => by ?? dto.id)
  async optionalParameter(_dto: UserDto, _by?: number): Promise<void> {}

  @InvalidatesCache('User', (...ids: string[]) => ids)
  async restParameter(..._ids: string[]): Promise<void> {}

  @InvalidatesCache('User', (first: string, ...others: string[]) => [
    first,
    ...others,
  ])
  async restAfterOthers(_first: string, ..._others: string[]): Promise<void> {}

  @InvalidatesCache('User', (dto: UserDto) => dto.id)
  async generic<T extends UserDto>(dto: T): Promise<T> {
    return dto;
  }

  @InvalidatesCache('User', (id: string) => id)
  static ofTheClass(_id: string): void {}

  @InvalidatesCache('User', (id: string) => id)
  protected inherited(_id: string): void {}

  // @ts-expect-error -- another type
  @InvalidatesCache('User', (dto: User) => dto.id)
  async anotherType(_dto: UserDto): Promise<void> {}

  // @ts-expect-error -- another order
  @InvalidatesCache('User', (dto: UserDto, _id: string) => dto.id)
  async anotherOrder(_id: string, _dto: UserDto): Promise<void> {}

  // @ts-expect-error -- there is no second parameter
  @InvalidatesCache('User', (dto: UserDto, _by: number) => dto.id)
  async moreParameters(_dto: UserDto): Promise<void> {}

  // @ts-expect-error -- it may be absent
  @InvalidatesCache('User', (_dto: UserDto, by: number) => by)
  async requiredOfOptional(_dto: UserDto, _by?: number): Promise<void> {}

  // @ts-expect-error -- it may be null
  @InvalidatesCache('User', (dto: UserDto) => dto.id)
  async nullable(_dto: UserDto | null): Promise<void> {}

  // @ts-expect-error -- others at the end
  @InvalidatesCache('User', (...ids: number[]) => ids)
  async anotherRest(..._ids: string[]): Promise<void> {}

  // @ts-expect-error -- not every T is a user
  @InvalidatesCache('User', (dto: User) => dto.id)
  async anyGeneric<T>(dto: T): Promise<T> {
    return dto;
  }
}

export class SelectorsOfResults {
  @InvalidatesCache('User', fromResult((created: User) => created.id))
  async promised(): Promise<User> {
    return user;
  }

  @InvalidatesCache('User', fromResult((created: User) => created.id))
  observed(): Observable<User> {
    return user$;
  }

  @InvalidatesCache('User', fromResult((created: User) => created.friends))
  returned(): User {
    return user;
  }

  @InvalidatesCache('User', fromResult((created: User | null) => created?.id))
  async perhaps(): Promise<User | null> {
    return null;
  }

  @InvalidatesCache(
    'User',
    fromResult((created: User, dto: UserDto) => [created.id, dto.id]),
  )
  async withArguments(_dto: UserDto): Promise<User> {
    return user;
  }

  // @ts-expect-error -- another type
  @InvalidatesCache('User', fromResult((dto: UserDto) => dto.id))
  async promisedAnother(): Promise<User> {
    return user;
  }

  // @ts-expect-error -- another type
  @InvalidatesCache('User', fromResult((dto: UserDto) => dto.id))
  observedAnother(): Observable<User> {
    return user$;
  }

  // @ts-expect-error -- another type
  @InvalidatesCache('User', fromResult((dto: UserDto) => dto.id))
  returnedAnother(): User {
    return user;
  }

  // @ts-expect-error -- it may be null
  @InvalidatesCache('User', fromResult((created: User) => created.id))
  async forgotten(): Promise<User | null> {
    return null;
  }

  // @ts-expect-error -- it gets the value, not its promise
  @InvalidatesCache('User', fromResult((_it: Promise<User>) => 1))
  async unwrapped(): Promise<User> {
    return user;
  }

  // @ts-expect-error -- it gets the last value, not the Observable
  @InvalidatesCache('User', fromResult((_it: Observable<User>) => 1))
  unwrappedToo(): Observable<User> {
    return user$;
  }

  // @ts-expect-error -- it returns nothing
  @InvalidatesCache('User', fromResult((created: User) => created.id))
  async nothing(): Promise<void> {}
}

export class Conditions {
  @InvalidatesCache('User', () => 1, { when: (dto: UserDto) => dto.id !== '' })
  async fits(_dto: UserDto): Promise<void> {}

  @InvalidatesCache('User', () => 1, { when: (dto) => dto.id !== '' })
  async untyped(_dto: UserDto): Promise<void> {}

  @InvalidatesCachePattern('feed:*', { when: (dto) => dto.id !== '' })
  async untypedOfPattern(_dto: UserDto): Promise<void> {}

  @InvalidatesCache('User', (dto: UserDto) => dto.id, {
    when: fromResult((done: boolean) => done),
    action: 'Update',
    metadata: (dto: UserDto) => ({ by: dto.id }),
  })
  async ofResult(_dto: UserDto): Promise<boolean> {
    return true;
  }

  // @ts-expect-error -- another type
  @InvalidatesCache('User', () => 1, { when: (dto: User) => dto.id > 1 })
  async anotherType(_dto: UserDto): Promise<void> {}

  // @ts-expect-error -- another result
  @InvalidatesCache('User', () => 1, { when: fromResult((n: number) => n > 1) })
  async anotherResult(_dto: UserDto): Promise<boolean> {
    return true;
  }

  // @ts-expect-error -- no answer to a question
  @InvalidatesCache('User', () => 1, { when: () => 'yes' })
  async noAnswer(): Promise<void> {}

  // @ts-expect-error -- the decorator does not wait
  @InvalidatesCache('User', () => 1, { when: async () => true })
  async later(): Promise<void> {}

  // @ts-expect-error -- of several ids a batch is made anyway
  @InvalidatesCache('User', () => 1, { action: 'Batch' })
  async noAction(): Promise<void> {}
}

export class Ids {
  @InvalidatesCache('User', (): string | undefined => undefined)
  @InvalidatesCache('User', () => null)
  @InvalidatesCache('User', () => 1n)
  @InvalidatesCache('User', () => [1, 'a', 2n, null, undefined])
  @InvalidatesCachePattern(() => null)
  @InvalidatesCachePattern(() => ['feed:1:*', undefined])
  async valid(): Promise<void> {}

  // @ts-expect-error -- no id
  @InvalidatesCache('User', (dto: UserDto) => dto)
  async object(_dto: UserDto): Promise<void> {}

  // @ts-expect-error -- no id
  @InvalidatesCache('User', () => new Date())
  async date(): Promise<void> {}

  // @ts-expect-error -- no id
  @InvalidatesCache('User', () => true)
  async flag(): Promise<void> {}

  // @ts-expect-error -- a promise of one
  @InvalidatesCache('User', async (dto: UserDto) => dto.id)
  async promise(_dto: UserDto): Promise<void> {}

  // @ts-expect-error -- no id
  @InvalidatesCache('User', fromResult((_it: number) => ({ id: 1 })))
  async ofResult(): Promise<number> {
    return 1;
  }

  // @ts-expect-error -- a selector is a function
  @InvalidatesCache('User', 'id')
  async name(_dto: UserDto): Promise<void> {}

  // @ts-expect-error -- no pattern
  @InvalidatesCachePattern(() => 1)
  async numeric(): Promise<void> {}

  // @ts-expect-error -- another type
  @InvalidatesCachePattern((id: string) => `feed:${id}:*`)
  async anotherType(_id: number): Promise<void> {}
}

export class NoMethods {
  // @ts-expect-error -- a property
  @InvalidatesCache('User', (id: string) => id)
  readonly arrow = async (_id: string): Promise<void> => {};

  // @ts-expect-error -- an accessor
  @InvalidatesCache('User', () => 1)
  get accessor(): number {
    return 1;
  }

  // @ts-expect-error -- a property
  @OnInvalidation()
  readonly handler = (): void => {};

  // @ts-expect-error -- an accessor
  @OnInvalidation()
  get handlers(): number {
    return 1;
  }
}

// @ts-expect-error -- a class
@InvalidatesCache('User', () => 1)
// @ts-expect-error -- a class
@OnInvalidation()
export class WholeClass {}

export class Handlers {
  @OnInvalidation()
  none(): void {}

  @OnInvalidation('User')
  async message(_message: InvalidationMessage): Promise<void> {}

  @OnInvalidation(['User', 'session'])
  number(_message: InvalidationMessage): number {
    return 1;
  }

  @OnInvalidation()
  part(_message: Pick<InvalidationMessage, 'messageId'>): void {}

  @OnInvalidation()
  optional(_message: InvalidationMessage, _from?: string): void {}

  // @ts-expect-error -- it gets a message
  @OnInvalidation('User')
  id(_id: string): void {}

  // @ts-expect-error -- it may get another
  @OnInvalidation('User')
  kind(_message: InvalidationMessage & { action: 'Delete' }): void {}

  // @ts-expect-error -- it gets a message and no more
  @OnInvalidation()
  two(_message: InvalidationMessage, _from: string): void {}

  @OnInvalidation('User', {
    when: ({ own, metadata }) => own && metadata === 1,
  })
  condition(): void {}

  @OnInvalidation([], { when: () => true })
  conditionOfAll(): void {}

  // @ts-expect-error -- no answer to a question
  @OnInvalidation('User', { when: () => 'yes' })
  noAnswer(): void {}

  // @ts-expect-error -- a message does not wait
  @OnInvalidation('User', { when: async () => true })
  later(): void {}

  // @ts-expect-error -- there is no such option
  @OnInvalidation('User', { unless: () => true })
  misspelt(): void {}

  // @ts-expect-error -- a number is no type
  @OnInvalidation(1)
  numbered(): void {}
}
