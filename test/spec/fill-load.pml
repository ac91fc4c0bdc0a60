/* Loads, and commands to the second tier. */

#define mayBegin(f) (up[instanceOf(f)] && l1[instanceOf(f)] == 0 && phase[f] == FREE && \
  (READS == 1 || !isJoinable(instanceOf(f) * READS + READS - 1 - f % READS)))

inline begin(f) {
  joinable[f] = true; atLeast[f] = applied[instanceOf(f)];
#ifdef MAY_BE_BEHIND
  fresh[f] = !isMarked(instanceOf(f));
#endif
  skip
}

/* Takes what decides, when the row is in, whether it may be kept. */
inline startLoading(f) {
  phase[f] = LOADING; value[f] = 0; fence[f] = true; mark[f] = position[instanceOf(f)];
#if defined(REPLICA) && !defined(MUTANT_CHECKED_AT_LANDING)
  behind[f] = isMarked(instanceOf(f));
#endif
  skip
}

inline put(f) {
#ifdef AT_ONCE
  if
  :: l2Value == 0 || l2Offset <= mark[f] -> l2Value = value[f]; l2Offset = mark[f]
  :: else
  fi
#else
  if
  :: putValue[instanceOf(f)] == 0 ->
    putValue[instanceOf(f)] = value[f]; putOffset[instanceOf(f)] = mark[f]
  :: else
  fi
#endif
}

/* One load of an instance, again and again. */
proctype Load(byte f) {
  byte k;
end: do
#ifdef AT_ONCE
  :: d_step { mayBegin(f) && !(l2Value > 0 && serves(instanceOf(f), l2Offset)) ->
      begin(f); startLoading(f) }
  :: d_step { mayBegin(f) && l2Value > 0 && serves(instanceOf(f), l2Offset) ->
      assert(l2Value >= applied[instanceOf(f)]);
      l1[instanceOf(f)] = l2Value }
#else
  :: d_step { mayBegin(f) ->
      EVENT('r', f);
      phase[f] = ASKING; value[f] = l2Value; mark[f] = l2Offset; begin(f) }
#endif
#ifdef MUTANT_JOIN_OVERTAKEN
  :: d_step { phase[f] != FREE && atLeast[f] != applied[instanceOf(f)] ->
      atLeast[f] = applied[instanceOf(f)] }
#endif
#ifdef MAY_BE_BEHIND
  /* A read joins that begins when nothing is marked. */
  :: d_step { phase[f] != FREE && !fresh[f] && isJoinable(f) && !isMarked(instanceOf(f)) ->
      fresh[f] = true }
#endif
  /* The reply of the second tier. */
  :: d_step { phase[f] == ASKING && value[f] > 0 && serves(instanceOf(f), mark[f]) ->
      EVENT('h', f);
#ifdef PROBE_RECALLED
      assert(instanceOf(f) < INSTANCES - 1 || mark[f] == position[instanceOf(f)]);
#endif
#ifdef MANY
      phase[f] = FOUND }
  :: d_step { phase[f] == FOUND ->
#endif
      assert(value[f] >= atLeast[f]);
      if
#ifdef MUTANT_FOUND_UNCHECKED
      :: d_step { last > 0 -> skip }
#else
      :: serves(instanceOf(f), mark[f])
#endif
        -> EVENT('k', f); l1[instanceOf(f)] = value[f]
      :: else -> EVENT('n', f)
      fi;
      phase[f] = FREE; value[f] = 0; mark[f] = 0; joinable[f] = false; atLeast[f] = 0;
#ifdef MAY_BE_BEHIND
      fresh[f] = false;
#endif
      skip }
  :: d_step { phase[f] == ASKING && !(value[f] > 0 && serves(instanceOf(f), mark[f])) ->
      EVENT('m', f);
      startLoading(f) }
  /* The database answers with the row of this moment, and the answer takes a while. */
  :: d_step { phase[f] == LOADING -> EVENT('q', f); phase[f] = LOADED; value[f] = rowFor(f) }
#ifdef MUTANT_NO_BYPASS
  :: d_step { phase[f] == LOADING && snapshot[instanceOf(f)] > 0 ->
      phase[f] = LOADED; value[f] = snapshot[instanceOf(f)]; atLeast[f] = 0 }
#endif
  :: d_step { phase[f] == LOADED ->
      assert(value[f] >= atLeast[f] || !isOwed(f));
#ifdef MUTANT_CHECKED_AT_LANDING
      behind[f] = isMarked(instanceOf(f));
#endif
#ifdef MUTANT_FENCE_AFTER_LOAD
      fence[f] = true;
#endif
#ifdef HARMLESS_MARK_AT_LANDING
      mark[f] = position[instanceOf(f)];
#endif
      if
      :: fence[f] && isKeepable(f) ->
        EVENT('k', f);
        l1[instanceOf(f)] = value[f];
        put(f)
#ifdef MUTANT_SHARE_BEHIND
      :: fence[f] && !isKeepable(f) -> put(f)
#endif
      :: else -> EVENT('n', f)
      fi;
      phase[f] = FREE; value[f] = 0; mark[f] = 0; fence[f] = false;
      joinable[f] = false; atLeast[f] = 0;
#ifdef REPLICA
      behind[f] = false;
#endif
#ifdef MAY_BE_BEHIND
      fresh[f] = false;
#endif
      skip }
#ifdef TTL
  :: d_step { l1[instanceOf(f)] > 0 -> EVENT('y', instanceOf(f)); l1[instanceOf(f)] = 0 }
#endif
  od
}

inline forgetPut(i) {
  putValue[i] = 0; putOffset[i] = 0; confirmed[i] = false
}

#if defined(MUTANT_PUT_BLINDLY)
#define isPut(i) true
#elif defined(HARMLESS_PUT_EQUAL)
#define isPut(i) (l2Value == 0 || l2Offset < putOffset[i])
#else
#define isPut(i) (l2Value == 0 || l2Offset <= putOffset[i])
#endif

#if defined(MUTANT_DROP_BLINDLY)
#define isDropped(before) true
#elif defined(MUTANT_DROP_EQUAL)
#define isDropped(before) (2 * l2Offset <= before)
#else
#define isDropped(before) (2 * l2Offset < before)
#endif

/* Its commands on the connection of the second tier. */
proctype Store(byte i) {
  byte k;
end: do
#if FORGED > 0
  /* The journal is read on the command connection: does it have the offset? */
  :: d_step { putValue[i] > 0 && !confirmed[i] ->
      EVENT('f', i);
#ifndef MUTANT_CLAIMED_OFFSET
      if
      :: putOffset[i] == CLAIMED -> forgetPut(i)
      :: else -> confirmed[i] = true
      fi
#else
      confirmed[i] = true
#endif
    }
#endif
  :: d_step { putValue[i] > 0 && (confirmed[i] || FORGED == 0) ->
#ifdef MUTANT_MARK_AFTER_LOAD
      if
      :: up[i] -> putOffset[i] = position[i]
      :: else
      fi;
#endif
      if
      :: isPut(i) ->
        EVENT('s', i);
        /* A store takes no entry away from an instance that has come as far. */
        k = 0;
        do
        :: k < INSTANCES ->
          assert(l2Value == 0 || !serves(k, l2Offset) || position[k] < putOffset[i] ||
            position[k] == CLAIMED || serves(k, putOffset[i]));
          k++
        :: else -> break
        od;
        l2Value = putValue[i]; l2Offset = putOffset[i]
      :: else -> EVENT('x', i)
      fi;
      forgetPut(i); k = 0 }
#ifndef TRACE
  :: d_step { putValue[i] > 0 -> forgetPut(i) }
#endif
  od
}

proctype Drop(byte i) {
  byte k;
end: do
  :: d_step { dropBefore[i] > 0 ->
      if
      :: l2Value > 0 && isDropped(dropBefore[i]) ->
        EVENT('g', i);
        /* It takes no entry away from an instance that has applied the message. */
        k = 0;
        do
        :: k < INSTANCES ->
          assert(dropBefore[i] % 2 == 1 || 2 * position[k] < dropBefore[i] ||
            position[k] == CLAIMED || !serves(k, l2Offset));
          k++
        :: else -> break
        od;
        l2Value = 0; l2Offset = 0
      :: else -> EVENT('v', i)
      fi;
      dropBefore[i] = 0; k = 0 }
#ifndef TRACE
  :: d_step { dropBefore[i] > 0 -> dropBefore[i] = 0 }
#endif
  od
}

#ifdef TTL
proctype ExpireL2() {
end: do
  :: d_step { l2Value > 0 -> l2Value = 0; l2Offset = 0 }
  od
}
#endif
