/*
 * The receiving side of instance `i`, and its catch-up.
 */

inline apply(i, message) {
  if
  :: everything & BIT(message) -> applied[i] = committed
  :: else -> applied[i] = applied[i] | BIT(message)
  fi
}

/* lib/subscriber/message-receiver.ts#widen #deliverEverything */
inline widen(i) {
#ifdef EXACT
  assert(false); /* nothing that the journal has is widened */
#endif
  applied[i] = committed
}

/* lib/subscriber/message-receiver.ts#deliver */
inline deliver(i, w, fromJournal) {
  LOG(("%d d%d.%d.%d\n", i, OFFSET(w), TEXT(w), fromJournal));
  m = MESSAGE(w);
  if
  :: m == 0
  :: m != 0 && (under_way[i] & BIT(m)) ->
    under_way[i] = under_way[i] & ~BIT(m);
    apply(i, m);
    if :: OFFSET(w) == pos[i] -> echo[i] = OFFSET(w) :: else fi
  :: else -> deliverExactly(i)
  fi
}

/* Message `m` of another instance. */
inline deliverExactly(i) {
#ifdef EXACT
  assert(!(applied[i] & BIT(m))); /* nothing is delivered twice */
#endif
  if
  :: (applied[i] & BIT(m)) || (everything & BIT(m)) || ABROAD(m)
  :: else ->
    seen = m + 1;
    do
    :: seen <= messages ->
      /* FIFO for each publisher */
      assert(OWNER(seen) != OWNER(m) || ABROAD(seen) || !(applied[i] & BIT(seen)));
      seen++
    :: else -> break
    od
  fi;
  apply(i, m)
}
inline abandonBeat(i) {
  ignorePing(i, PING_BEAT);
  beat[i] = 0;
  beat_tail[i] = 0;
  beat_acked[i] = 0
}

inline abandonReading(i) {
  ignorePing(i, PING_START);
  phase[i] = (phase[i] == IDLE -> IDLE : ASK);
  forgetReading(i);
  began[i] = NONE
}

inline forgetReading(i) {
  from[i] = 0;
  upto[i] = 0;
  tail[i] = 0
}

/* lib/subscriber/acknowledged-messages.ts#doubt */
inline doubtAcked(i) {
#ifndef MUTANT_NO_DOUBT
  if :: acked[i] != NONE -> doubtful[i] = doubtful[i] | BIT(acked[i]) :: else fi
#else
  skip
#endif
}

/* lib/subscriber/catch-up.ts#writable */
inline becomeWritable(i) {
  writable[i] = true;
  doubtAcked(i);
  if :: phase[i] != IDLE -> LOG(("%d ?\n", i)); doubt(i); SEEN(i); acked_then[i] = acked[i] :: else fi;
  STIR
}

/* lib/subscriber/catch-up.ts#lost; lib/subscriber/subscription-session.ts#lost */
inline cutSubscription(i) {
  subscribed[i] = false;
  do :: queued[i] > 0 -> pop(i) :: else -> break od;
  doubtAcked(i);
  first_time[i] = false;
#if defined(FOREIGN) && !defined(MUTANT_FOREIGN_FORGOTTEN)
  owed[i] = true;
#endif
  endReading(i);
  abandonBeat(i);
  LOG(("%d x\n", i));
  lost(i);
  SEEN(i);
  STIR
}

inline endReading(i) {
  ignorePing(i, PING_START);
  phase[i] = IDLE;
  forgetReading(i);
  began[i] = 0;
  acked_then[i] = 0
}

/* lib/subscriber/subscription-session.ts#resubscribed */
inline resubscribe(i) {
  subscribed[i] = true;
  if :: owed[i] -> owed[i] = false; applied[i] = committed :: else fi;
  if :: first_time[i] -> applied[i] = committed :: else fi;
  catchUp(i)
}

/* lib/subscriber/catch-up.ts#run */
inline catchUp(i) {
  LOG(("%d ?\n", i));
  doubt(i);
  SEEN(i);
  if
  :: phase[i] == IDLE -> phase[i] = ASK; began[i] = NONE; acked_then[i] = acked[i]
  :: else
  fi;
  STIR
}

/* lib/subscriber/catch-up.ts#failed: the journal could not be read in time. */
inline timeOut(i) {
  if
  :: !first_time[i] ->
    LOG(("%d t%d\n", i, NONE));
    restart(i, NONE);
    SEEN(i)
  :: else
  fi;
  endReading(i);
  cutCommands(i)
}

/* lib/subscriber/message-receiver.ts#receive #receiveOwn #hold */
inline receiveWire(i, w) {
  if
  :: w >= FOREIGN_WIRE -> m = w - FOREIGN_WIRE; apply(i, m)
#ifdef SIGNED
  :: w >= FORGED && w < FOREIGN_WIRE ->
    /* Not verified: not obeyed; everything, once in a period. */
    if :: !quiet[i] -> quiet[i] = true; applied[i] = committed :: else fi
#endif
  :: else ->
    m = MESSAGE(w);
    LOG(("%d m%d.%d.%d.%d\n", i, OFFSET(w), PREVIOUS(w), TEXT(w), (m != 0 && (under_way[i] & BIT(m))) != 0));
    if
    :: m != 0 && (under_way[i] & BIT(m)) ->
      advance(i, w, true);
      if
      :: ok -> echo[i] = OFFSET(w); under_way[i] = under_way[i] & ~BIT(m); apply(i, m); LOG(("%d o\n", i)); SEEN(i)
      :: else -> hold(i, w)
      fi
    :: else ->
      advance(i, w, false);
      if
      :: ok -> deliver(i, w, 0); SEEN(i)
      :: else -> hold(i, w)
      fi
    fi
  fi
}

inline hold(i, w) {
  receive(i, w);
  SEEN(i);
  if :: catching[i] -> catchUp(i) :: else fi
}

/* lib/subscriber/catch-up.ts#readAll: the loop ends once nothing is held. */
inline readOn(i) {
  forgetReading(i);
  if
  :: catching[i] || pos[i] == NONE -> phase[i] = ASK
  :: else ->
    confirm(i, acked_then[i], began[i]);
    endReading(i)
  fi;
  STIR
}

/* lib/subscriber/catch-up.ts#readAll #start: a question to Redis. */
inline ask(i) {
  if
  :: pos[i] == NONE -> phase[i] = STARTING; tail[i] = TAIL
  :: else ->
    phase[i] = READING;
    from[i] = pos[i];
    before[i] = held_n[i];
    LOG(("%d q\n", i));
#ifdef COARSE
    readPage(i)
#endif
  fi;
  STIR
}

/* Redis reads the entries from an offset on, a page at most. */
inline readPage(i) {
  phase[i] = READ;
  x = oldest;
  do
  :: x < size && J[x] < from[i] -> x++
  :: else -> break
  od;
  tail[i] = x;
  upto[i] = (size - x > PAGE -> x + PAGE : size)
}

/* lib/subscriber/catch-up.ts#replay; lib/subscriber/journal-reader.ts#decodeEntries */
inline takePage(i) {
  if
  :: pos[i] != from[i] -> readOn(i)
  :: else ->
    x = tail[i];
    do
    :: x < upto[i] && READABLE(J[x]) -> x++
    :: else -> break
    od;
    whole = x == upto[i];
    complete_ = whole && upto[i] - tail[i] < PAGE;
    logPage(i);
    replay(i, tail[i], x, complete_);
    LOG(("%d =%d\n", i, linked));
    SEEN(i);
    if
    :: linked && whole ->
      began[i] = (began[i] == NONE -> from[i] : began[i]);
      readOn(i)
    :: else ->
#ifndef MUTANT_BREAK_FORGOTTEN
      broken[i] = true;
#endif
      forgetReading(i);
      phase[i] = RESTART;
      tail[i] = TAIL;
#ifdef COARSE
      takeTail(i)
#endif
    fi
  fi;
  STIR
}

inline logPage(i) {
#ifdef TRACE
  LOG(("%d j%d", i, complete_));
  first = tail[i];
  do
  :: first < x -> LOG((":%d.%d.%d", J[first], PREVIOUS(J[first]), TEXT(J[first]))); first++
  :: else -> break
  od;
  LOG(("\n"))
#else
  skip
#endif
}

/* lib/subscriber/catch-up.ts#start */
inline takeTail(i) {
  if
  :: phase[i] == STARTING && first_time[i] ->
    phase[i] = PINGING;
    push(i, PING_START)
  :: else ->
    if :: phase[i] == STARTING -> broken[i] = true :: else fi;
    first_time[i] = false;
    LOG(("%d t%d\n", i, tail[i]));
    restart(i, tail[i]);
    SEEN(i);
    readOn(i)
  fi;
  STIR
}

inline takePingOfStart(i) {
  LOG(("%d b%d\n", i, tail[i]));
  begin(i, tail[i]);
  SEEN(i);
  first_time[i] = false;
  readOn(i)
}

/* lib/subscriber/acknowledged-messages.ts#confirm #doubtful #isBefore */
inline confirm(i, acked_, began_) {
  lostOwn = false;
/* ENDED: the publisher does not live to look for its own messages. */
#if !defined(MUTANT_NO_CONFIRM) && !defined(ENDED)
  if
  :: acked_ == NONE
  :: else ->
    wanted = doubtful[i];
    if :: broken[i] || acked_ != confirmed[i] -> wanted = wanted | BIT(acked_) :: else fi;
    if :: broken[i] && echo[i] != NONE -> wanted = wanted | BIT(echo[i]) :: else fi;
    id = 0;
    do
    :: id < NONE ->
      isInJournal(id);
      if
      :: !(wanted & BIT(id))
      :: (wanted & BIT(id)) && !broken[i] && echo[i] != NONE && id <= echo[i] && began_ != NONE && id <= began_
      :: else -> lostOwn = lostOwn || !found
      fi;
      id++
    :: else -> break
    od;
    broken[i] = false;
    doubtful[i] = 0;
    echo[i] = acked_;
    confirmed[i] = acked_
  fi;
  if :: lostOwn -> publish(i, true) :: else fi
#else
  skip
#endif
}
