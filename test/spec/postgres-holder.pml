/*
 * A process of the source, which holds the slot or stands by.
 */
#define BUFFER(h, n) buffer[(h) * TXS + (n)]
#define NEXT(h) BUFFER(h, position[h])
#define HOLDS(h) (owner == (h) + 1)
#define UNSEEN (logged & ~visible)

/* The process begins again; the server ends its session. */
inline beginAgain(h) {
  do
  :: received[h] > 0 -> received[h]--; BUFFER(h, received[h]) = 0
  :: else -> break
  od;
  phase[h] = IDLE;
  session[h] = 0;
  position[h] = 0;
  owes[h] = false;
  awaited[h] = 0;
  early[h] = 0;
  acked[h] = 0;
  call[h] = 0;
  item[h] = 0;
#if defined(MEMORY) && !defined(KEEPS_MEMORY)
  memory[h] = 0;
#endif
  target[h] = 0
}

inline release(h) {
  if
  :: HOLDS(h) -> owner = NOBODY
  :: else
  fi;
  beginAgain(h)
}

#ifdef MUTANT_NO_POSITION
#define AGREES (record != NONE && IDENTITY(record) == identity)
#else
#define AGREES (record != NONE && IDENTITY(record) == identity && LSN(record) >= confirmed)
#endif

inline compare(h) {
  acked[h] = record;
  session[h] = identity;
  position[h] = confirmed;
#ifdef MUTANT_FORGET_LOSS
  owes[h] = false;
#elif defined(MUTANT_DEBT_IN_MEMORY) || defined(MUTANT_RECORD_FIRST_SLOT)
  owes[h] = memory[h] > 0;
#else
  owes[h] = !AGREES;
#endif
  if
#ifdef MUTANT_KEEP_POSITION
  :: record != NONE && LSN(record) > confirmed -> position[h] = LSN(record)
#else
  :: !owes[h] && record != NONE && LSN(record) > confirmed -> position[h] = LSN(record)
#endif
  :: else
  fi;
  received[h] = position[h];
  if
  :: owes[h] -> awaited[h] = UNSEEN
  :: else
  fi
}

inline send(h, item_, to) {
  call[h] = SENT;
  item[h] = item_;
  target[h] = to
}

/* The id of a message is made of the transaction, not only of its LSN. */
#ifdef MUTANT_ID_BY_LSN
#define STAMP(h) (received[h] + 1)
#else
#define STAMP(h) stamp[wal[received[h]]]
#endif

inline receive(h) {
  BUFFER(h, received[h]) = wal[received[h]] + (STAMP(h) << 2);
  received[h]++
}

inline run_(h) {
  if
  :: MATCHES(acked[h]) ->
#ifdef MUTANT_RECORD_APART
    announce(item[h]);
    call[h] = HALF
#elif defined(MUTANT_RECORD_FIRST)
    record = target[h];
    call[h] = HALF
#else
    script(item[h], acked[h], target[h]);
    call[h] = DONE
#endif
  :: else -> call[h] = REFUSED
  fi
}

inline finish(h) {
#ifdef MUTANT_RECORD_APART
  if
  :: MATCHES(acked[h]) -> record = target[h]; call[h] = DONE
  :: else -> call[h] = REFUSED
  fi
#else
  announce(item[h]);
  call[h] = DONE
#endif
}

inline settle(h) {
  acked[h] = target[h];
#if defined(MUTANT_AHEAD)
  if
  :: LSN(target[h]) == position[h] && item[h] != WIDE -> memory[h] = true
  :: else -> memory[h] = false
  fi;
#endif
  if
  :: item[h] == WIDE ->
    owes[h] = false;
#ifdef KEEPS_MEMORY
    memory[h] = 0;
#endif
    awaited[h] = 0
  :: else
  fi;
  if
  :: !owes[h] && LSN(acked[h]) > position[h] -> position[h] = LSN(acked[h])
  :: else
  fi;
  call[h] = 0;
  item[h] = 0;
  target[h] = 0
}
#define FREE(h) (phase[h] == FOLLOWS && call[h] == 0)
#define HAS_NEXT(h) (FREE(h) && !owes[h] && position[h] < received[h])
#define SEEN(set_) (((set_) & ~visible) == 0)
#define NEXT_BIT(h) BIT(ROW(NEXT(h)))
/* The record with the next transaction, or `n` of them. */
#define BEYOND(h, n, debt) RECORD(session[h], position[h] + (n), debt)

/* The next transaction goes out, and the record moves with it. */
inline sendNext(h) {
#ifdef MUTANT_AHEAD
  send(h, NEXT(h), BEYOND(h, 1 + memory[h], 0))
#elif defined(MUTANT_DROP_DEBT)
  send(h, NEXT(h), BEYOND(h, 1, 0))
#else
  send(h, NEXT(h), BEYOND(h, 1, DEBT(acked[h])))
#endif
}

/* The wait for the next transaction has reached its bound. */
inline giveUp(h) {
#ifdef DEFER
  send(h, NEXT(h) + EARLY, BEYOND(h, 1, DEBT(acked[h]) | NEXT_BIT(h)))
#elif defined(MUTANT_NO_REPETITION)
  send(h, NEXT(h) + EARLY, BEYOND(h, 1, 0))
#elif defined(MUTANT_REPEAT_IN_MEMORY)
  memory[h] = memory[h] | NEXT_BIT(h);
  send(h, NEXT(h) + EARLY, BEYOND(h, 1, 0))
#else
  early[h] = early[h] | NEXT_BIT(h);
  send(h, NEXT(h) + EARLY_ID, acked[h])
#endif
}

#ifdef MUTANT_NO_GATE
#define MAY_SEND(h) true
#else
#define MAY_SEND(h) SEEN(NEXT_BIT(h))
#endif
#if defined(MUTANT_WIDEN_AT_ONCE) || defined(DEFER)
#define MAY_WIDEN(h) true
#else
#define MAY_WIDEN(h) SEEN(awaited[h])
#endif
#ifdef DEFER
#define AWAITED(h) awaited[h]
#else
#define AWAITED(h) 0
#endif

proctype holder(byte h) {
end:
  do
  /* The slot: created where it is missing, taken where nobody is active in it. */
#if defined(MUTANT_WIDEN_FIRST)
  :: d_step { phase[h] == IDLE && !exists -> append(WIDE); phase[h] = CREATES }
  :: d_step { phase[h] == CREATES -> if :: !exists -> createSlot(); record = RECORD(identity, confirmed, 0) :: else fi; phase[h] = IDLE }
#elif defined(MUTANT_RECORD_FIRST_SLOT)
  :: d_step { phase[h] == IDLE && !exists -> createSlot(); record = RECORD(identity, confirmed, 0); memory[h] = 1 }
#elif defined(MUTANT_DEBT_IN_MEMORY)
  :: d_step { phase[h] == IDLE && !exists -> createSlot(); memory[h] = 1 }
#else
  :: d_step { phase[h] == IDLE && !exists -> createSlot() }
#endif
#ifdef MUTANT_CHECK_BEFORE_HOLD
  :: d_step { phase[h] == IDLE && exists && owner == NOBODY -> compare(h); phase[h] = CHECKS }
  :: d_step {
      phase[h] == CHECKS && exists && owner == NOBODY ->
      owner = h + 1;
      if :: confirmed > position[h] -> position[h] = confirmed; received[h] = confirmed :: else fi;
      phase[h] = FOLLOWS
    }
  :: d_step { phase[h] == CHECKS && (!exists || owner != NOBODY) -> beginAgain(h) }
  :: d_step { phase[h] == FOLLOWS && !HOLDS(h) -> beginAgain(h) }
#else
  :: d_step { phase[h] == IDLE && exists && owner == NOBODY -> owner = h + 1; phase[h] = CHECKS }
  :: d_step { phase[h] == CHECKS && HOLDS(h) -> compare(h); phase[h] = FOLLOWS }
  /* A lost session is noticed at any later time. */
  :: d_step { phase[h] != IDLE && phase[h] != CREATES && !HOLDS(h) -> beginAgain(h) }
#endif
  :: d_step { phase[h] == FOLLOWS && HOLDS(h) && received[h] < flushed -> receive(h) }
  /* A widening, after what was under way is visible. */
  :: d_step { FREE(h) && owes[h] && MAY_WIDEN(h) -> send(h, WIDE, BEYOND(h, 0, AWAITED(h))) }
#ifdef DEFER
  :: d_step { FREE(h) && !owes[h] && DEBT(acked[h]) != 0 && SEEN(DEBT(acked[h])) -> send(h, WIDE, BEYOND(h, 0, 0)) }
#endif
#ifdef MUTANT_REPEAT_IN_MEMORY
  :: d_step { FREE(h) && memory[h] != 0 && SEEN(memory[h]) -> memory[h] = 0; send(h, WIDE, BEYOND(h, 0, 0)) }
#endif
  /* Transactions in the order of their commits, each once it is visible. */
  :: d_step { HAS_NEXT(h) && MAY_SEND(h) -> sendNext(h) }
#ifdef GIVE_UP
  :: d_step { HAS_NEXT(h) && !SEEN(NEXT_BIT(h)) && !(early[h] & NEXT_BIT(h)) -> giveUp(h) }
#endif
#ifdef MUTANT_AHEAD
  :: d_step {
      HAS_NEXT(h) && !memory[h] && position[h] + 1 < received[h] && SEEN(BIT(ROW(BUFFER(h, position[h] + 1)))) ->
      send(h, BUFFER(h, position[h] + 1), acked[h])
    }
#endif
  /* Redis runs the script. */
  :: d_step { call[h] == SENT -> run_(h) }
  :: d_step { call[h] == HALF -> finish(h) }
  :: d_step { call[h] == DONE -> settle(h) }
  :: d_step { call[h] == REFUSED -> release(h) }
#ifndef MUTANT_NO_HEARTBEAT
  /* A heartbeat finds that the record is another. */
  :: d_step { FREE(h) && record != acked[h] -> release(h) }
#endif
  /* The server hears of what the record has. */
#if defined(MUTANT_ACK_FIRST)
  :: d_step { HAS_NEXT(h) && HOLDS(h) && MAY_SEND(h) && confirmed <= position[h] -> confirmed = position[h] + 1 }
#elif defined(MUTANT_ACK_TIMER)
  :: d_step { phase[h] == FOLLOWS && HOLDS(h) && confirmed < received[h] -> confirmed = received[h] }
#else
  :: d_step { FREE(h) && !owes[h] && HOLDS(h) && confirmed < LSN(acked[h]) -> confirmed = LSN(acked[h]) }
#endif
  od
}
