/*
 * The publisher of instance `i`: calls under way, and the outbox.
 */

/* lib/publisher/publish-queue.ts#push #send; lib/publisher/outbox-drain.ts#keep */
inline publish(i, isEverything) {
  BOUND(messages < SLOTS);
  passes = writable[i] && !(draining & BIT(i));
  x = 1;
  do
  :: x <= messages ->
    if
    :: OWNER(x) == i && (state[x] == OUTBOX || state[x] == TRIED) -> passes = false
    :: else
    fi;
    x++
  :: else -> break
  od;
  messages++;
  owner = owner | (i << messages);
  if
  :: isEverything -> everything = everything | BIT(messages)
  :: else -> committed = committed | BIT(messages)
  fi;
  if
  :: passes -> sendFirst(i, messages)
  :: else -> state[messages] = OUTBOX; apply(i, messages)
  fi;
  STIR
}

inline sendFirst(i, message) {
  state[message] = SENT;
  since[message] = acked[i];
  under_way[i] = under_way[i] | BIT(message)
}

/* lib/publisher/publish-queue.ts#answered; lib/publisher/call-log.ts#took */
inline takeAnswer(i, message) {
  if
  :: acked[i] != NONE && answer[message] < acked[i] && (draining & BIT(i))
  :: else -> acked[i] = answer[message]
  fi;
  state[message] = DONE;
  since[message] = 0;
  answer[message] = 0;
  apply(i, message);
  settle(i);
  STIR
}

/* lib/publisher/outbox-drain.ts#settle */
inline settle(i) {
  x = 1;
  do
  :: x <= messages && !(OWNER(x) == i && FLYING(x)) -> x++
  :: x <= messages && OWNER(x) == i && FLYING(x) -> break
  :: else -> draining = draining & ~BIT(i); break
  od
}

/* lib/publisher/outbox-drain.ts#drain: the oldest first, all in one call. */
inline drain(i) {
  x = 1;
  do
  :: x <= messages ->
    if
    :: OWNER(x) == i && state[x] == OUTBOX -> sendFirst(i, x); draining = draining | BIT(i)
    :: OWNER(x) == i && state[x] == TRIED -> state[x] = RESENT; under_way[i] = under_way[i] | BIT(x); draining = draining | BIT(i)
    :: else
    fi;
    x++
  :: else -> break
  od;
  STIR
}

/* lib/publisher/outbox-drain.ts#fail: what was under way may have been published. */
inline cutCommands(i) {
  writable[i] = false;
  x = 1;
  do
  :: x <= messages ->
    if
    :: OWNER(x) == i && FLYING(x) ->
#ifdef MUTANT_ACKNOWLEDGED_EARLY
      state[x] = DONE;
      since[x] = 0;
#else
      state[x] = TRIED;
#endif
      answer[x] = 0;
      apply(i, x)
    :: else
    fi;
    x++
  :: else -> break
  od;
  draining = draining & ~BIT(i);
  abandonBeat(i);
  abandonReading(i);
  STIR
}

/* The oldest message of instance `i` in one of two states; sets `x`, 0 for none. */
inline oldestOf(i, one, other) {
  x = 1;
  do
  :: x <= messages && !(OWNER(x) == i && (state[x] == one || state[x] == other)) -> x++
  :: x <= messages && OWNER(x) == i && (state[x] == one || state[x] == other) -> break
  :: else -> x = 0; break
  od
}

#define MINE(n, s) (OWNER(n) == i && state[n] == s)
#define ANY(s) (MINE(1, s) || MINE(2, s) || MINE(3, s) || MINE(4, s))
#define SOME_FLY (ANY(SENT) || ANY(ANSWER) || ANY(RESENT))
