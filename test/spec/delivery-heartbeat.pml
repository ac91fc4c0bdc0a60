/*
 * The heartbeat of instance `i`.
 */

/* lib/subscriber/heartbeat.ts#judge #isCurrent; lib/subscriber/connection-probe.ts#hasEntry */
inline judge(i) {
  isInJournal(pos[i]);
  if
#ifdef MUTANT_DEAF_HEARTBEAT
  :: pos[i] != NONE && !catching[i] -> prove(i)
#endif
  :: pos[i] == NONE || catching[i] -> abandonBeat(i); catchUp(i)
  :: pos[i] != NONE && !catching[i] && (beat_tail[i] == pos[i] || (beat_tail[i] < pos[i] && found)) -> prove(i)
#ifdef MUTANT_MISSING_IGNORED
  :: else -> abandonBeat(i)
#else
  :: else -> abandonBeat(i); catchUp(i)
#endif
  fi
}

/* lib/subscriber/catch-up.ts#confirmOwn */
inline prove(i) {
  id = beat_acked[i];
  abandonBeat(i);
  lostOwn = false;
  if :: phase[i] == IDLE -> m = id; confirm(i, m, pos[i]) :: else fi;
  if :: proving & BIT(i) -> becomeCalm(i) :: else fi
}

/* Nothing is under way any more, and this instance was proved to know everything. */
inline becomeCalm(i) {
  calm = calm | BIT(i);
  assert(calm != ALL || ((committed & ~applied[0]) == 0 && (committed & ~applied[1]) == 0))
}
