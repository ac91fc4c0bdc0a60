/* Catch-up: readings of the journal, and own messages that are looked for in it. */

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
