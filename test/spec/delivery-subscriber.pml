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
