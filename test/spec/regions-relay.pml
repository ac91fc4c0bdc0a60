/*
 * The relay, a process of the local region.
 */
inline take(r, element_) {
  BOUND(waiting_n[r] < SENDING);
  WAITING(r, waiting_n[r]) = element_;
  waiting_n[r]++
}

/* The relay drops its queue, and begins again from the record. */
inline beginAgain(r) {
  do
  :: waiting_n[r] > 0 -> waiting_n[r]--; WAITING(r, waiting_n[r]) = 0
  :: else -> break
  od;
  call[r] = 0;
  acked[r] = 0;
#ifdef COUNTED
  acked_count[r] = 0;
#endif
  phase[r] = BEGIN
}

inline readRecord(r) {
  acked[r] = record;
#ifdef COUNTED
  acked_count[r] = count;
#endif
  phase[r] = CATCH_UP
}

/* Entries are read and taken in one step: they may wait in the queue just as well. */
inline catchUp(r) {
  id = POSITION(r);
  if
  :: id == NONE -> holds = false
  :: else -> goesOn(id)
  fi;
#ifdef MUTANT_WIDEN_ALWAYS
  holds = false;
#endif
  if
#ifdef MUTANT_TRUST_MOVED_TAIL
  :: !holds && id != NONE && tail < id -> skip
#endif
  :: holds ->
    do
    :: id != tail ->
      y = tail;
      do
      :: before[y] != id -> y = before[y]
      :: else -> break
      od;
      take(r, y);
      id = y
    :: else -> break
    od
  :: else -> take(r, WIDE + tail)
  fi;
  phase[r] = FOLLOWS
}

/* A message of the channel. */
inline receive(r) {
  id = LIVE(r, 0);
  x = 1;
  do
  :: x < live_n[r] -> LIVE(r, x - 1) = LIVE(r, x); x++
  :: else -> break
  od;
  live_n[r]--;
  LIVE(r, live_n[r]) = 0;
  x = POSITION(r);
  if
  :: x != NONE && before[id] == x && id > x -> take(r, id)
  :: x == id -> skip
  :: else -> phase[r] = CATCH_UP
  fi
}

/* Local Redis runs the script. */
inline run_(r) {
  element = WAITING(r, 0);
  if
  :: MATCHES(acked[r], acked_count[r]) ->
#if defined(MUTANT_PUBLISH_BEFORE_SET)
    append(element);
    call[r] = HALF
#elif defined(MUTANT_SET_BEFORE_PUBLISH)
    record = TO(element);
    call[r] = HALF
#else
    forward(acked[r], element);
    call[r] = DONE
#endif
  :: else -> call[r] = REFUSED
  fi
}

inline finish(r) {
#if defined(MUTANT_PUBLISH_BEFORE_SET)
  record = TO(WAITING(r, 0));
#elif defined(MUTANT_SET_BEFORE_PUBLISH)
  append(WAITING(r, 0));
#endif
  call[r] = DONE
}

inline acknowledge(r) {
  acked[r] = RECORDED(WAITING(r, 0));
#ifdef COUNTED
  acked_count[r] = acked_count[r] + (WAITING(r, 0) >= WIDE -> 1 : 0);
#endif
  x = 1;
  do
  :: x < waiting_n[r] -> WAITING(r, x - 1) = WAITING(r, x); x++
  :: else -> break
  od;
  waiting_n[r]--;
  WAITING(r, waiting_n[r]) = 0;
  call[r] = 0
}

proctype relay(bit r) {
end:
  do
  :: d_step { reachable && !subscribed[r] -> subscribed[r] = true; if :: phase[r] == FOLLOWS -> phase[r] = CATCH_UP :: else fi }
  :: d_step { phase[r] == BEGIN -> readRecord(r) }
  :: d_step { phase[r] == CATCH_UP && reachable && subscribed[r] -> catchUp(r) }
  :: d_step { phase[r] == FOLLOWS && live_n[r] > 0 -> receive(r) }
  :: d_step { call[r] == 0 && phase[r] != BEGIN && waiting_n[r] > 0 -> call[r] = SENT }
  :: d_step { call[r] == SENT -> run_(r) }
  :: d_step { call[r] == HALF -> finish(r) }
  :: d_step { call[r] == DONE -> acknowledge(r) }
  :: d_step { call[r] == REFUSED -> beginAgain(r) }
  od
}

#ifdef MUTANT_PROVE_BEFORE_FORWARD
#define COMPLETE(r) (phase[r] == FOLLOWS && POSITION(r) == beat_tail[r])
#elif defined(MUTANT_TRUST_MOVED_TAIL)
#define COMPLETE(r) (phase[r] == FOLLOWS && waiting_n[r] == 0 && acked[r] != NONE && acked[r] >= beat_tail[r])
#elif defined(BEYOND)
#define COMPLETE(r) (phase[r] == FOLLOWS && waiting_n[r] == 0 && (acked[r] == beat_tail[r] || (acked[r] != NONE && acked[r] > beat_tail[r] && IN_SOURCE(acked[r]))))
#else
#define COMPLETE(r) (phase[r] == FOLLOWS && waiting_n[r] == 0 && acked[r] == beat_tail[r])
#endif
#if defined(MUTANT_PROVE_BEFORE_FORWARD) || defined(MUTANT_PROVE_BLINDLY)
#define MAY_PROVE(r) true
#else
#define MAY_PROVE(r) (record == COMPARED(r))
#endif

inline endBeat(r) {
  beat[r] = 0;
  beat_tail[r] = 0;
  RESET_COMPARED(r)
}

proctype relayHeartbeat(bit r) {
end:
  do
  :: d_step { reachable && subscribed[r] && beat[r] == 0 -> beat[r] = SENT; beat_tail[r] = tail }
  :: d_step {
      beat[r] == SENT ->
      if
      :: COMPLETE(r) ->
        beat[r] = DONE;
#ifdef KEEPS_ACKED
        beat_acked[r] = acked[r]
#endif
      :: else ->
        if
        :: phase[r] == FOLLOWS && POSITION(r) != beat_tail[r] -> phase[r] = CATCH_UP
        :: else
        fi;
        endBeat(r)
      fi
    }
  :: d_step {
      beat[r] == DONE ->
      if
      :: MAY_PROVE(r) -> prove(beat_tail[r])
      :: else -> if :: call[r] == 0 -> beginAgain(r) :: else fi
      fi;
      endBeat(r)
    }
  od
}
