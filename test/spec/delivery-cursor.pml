/*
 * The delivery cursor of instance `i`, as in
 *   lib/stream/delivery-cursor.ts#advance #receive #doubt #beginReading #replay
 *   #restart #begin #lost #isDuplicate #release
 *
 * A wire is one text of a message: a genuine wire has the number of its offset,
 * forged ones are counted from FORGED on. Each inline runs inside a d_step; its
 * scratch variables are hidden, so they are no part of the state.
 */

#ifdef TRACE
#define LOG(text) printf text
#else
#define LOG(text) skip
#endif

#define SEEN(i) LOG(("%d s%d.%d\n", i, pos[i], catching[i]))

hidden byte ok;
hidden byte at, kept, first, claimed;

inline canFollow(i, offset) {
#ifdef MUTANT_NOT_LATER
  ok = offset >= pos[i] && ALLOWED(offset)
#elif defined(MUTANT_NO_HORIZON)
  ok = offset > pos[i]
#else
  ok = offset > pos[i] && ALLOWED(offset)
#endif
}

inline isDuplicate(i, w) {
  ok = (replayed[i] & BIT(OFFSET(w))) != 0 ||
    (OFFSET(w) == pos[i] && (last[i] == NONE || last[i] == TEXT(w)))
#ifdef MUTANT_OLDER_IS_DUPLICATE
    || OFFSET(w) < pos[i]
#endif
}

/* Sets `ok` if the message is to be delivered at once. */
inline advance(i, w, mine) {
  if
  :: catching[i] -> ok = false
  :: else ->
    if
    :: pos[i] == NONE ->
      if :: ALLOWED(OFFSET(w)) -> early[i] = OFFSET(w) :: else fi;
      ok = true
    :: else ->
      claimed = OFFSET(w);
      canFollow(i, claimed);
#ifdef MUTANT_GAP_IGNORED
      ok = ok;
#else
      ok = ok && PREVIOUS(w) == pos[i];
#endif
      if
      :: ok ->
        assert(OFFSET(w) > pos[i]); /* a position never stays, nor goes back */
        pos[i] = OFFSET(w);
        last[i] = (mine -> NONE : TEXT(w));
        replayed[i] = 0
      :: else
      fi
    fi
  fi
}

inline clearHeld(i) {
  at = 0;
  do
  :: at < held_n[i] -> HELD(i, at) = 0; at++
  :: else -> break
  od;
  held_n[i] = 0;
  before[i] = 0
}

inline restart(i, end) {
  catching[i] = false;
  clearHeld(i);
  replayed[i] = 0;
  pos[i] = end;
  last[i] = NONE;
#ifndef MUTANT_NO_WIDENING
  LOG(("%d w\n", i));
  widen(i)
#endif
}

inline receive(i, w) {
  isDuplicate(i, w);
  if
  :: !catching[i] && ok
  :: !catching[i] && !ok && OFFSET(w) == pos[i] -> deliver(i, w, 0)
  :: else ->
    catching[i] = true;
    if
    :: held_n[i] == HELD_LIMIT -> restart(i, NONE)
    :: else -> HELD(i, held_n[i]) = w; held_n[i]++
    fi
  fi
}

inline doubt(i) {
  if :: pos[i] != NONE -> catching[i] = true :: else fi
}

inline release(i) {
  kept = 0;
  first = 0;
  do
  :: first < held_n[i] ->
    claimed = OFFSET(HELD(i, first));
    canFollow(i, claimed);
    if
    :: kept > 0 -> ok = false
    :: else ->
      ok = ok && PREVIOUS(HELD(i, first)) == pos[i];
      if
      :: ok ->
        pos[i] = OFFSET(HELD(i, first));
        last[i] = TEXT(HELD(i, first));
        deliver(i, HELD(i, first), 0)
      :: else ->
        isDuplicate(i, HELD(i, first));
        if
        :: ok
        :: !ok && first < before[i] ->
#ifdef MUTANT_HELD_DROPPED
          skip
#else
          deliver(i, HELD(i, first), 0)
#endif
        :: else -> kept = held_n[i] - first; at = first
        fi
      fi
    fi;
    first++
  :: else -> break
  od;
  /* The kept messages move to the front. */
  first = 0;
  do
  :: first < held_n[i] ->
    HELD(i, first) = (first < kept -> HELD(i, at + first) : 0);
    first++
  :: else -> break
  od;
  held_n[i] = kept;
  if :: kept == 0 -> before[i] = 0; catching[i] = false :: else fi
}

/* The journal's entries from one index to before another; sets `linked`. */
inline replay(i, low, high, isAll) {
  linked = low < high;
  first = low;
  do
  :: linked && first < high ->
    if
    :: first == low && J[first] == pos[i] ->
      isDuplicate(i, J[first]);
      linked = ok
    :: else ->
#ifndef MUTANT_FIRST_UNCHECKED
      linked = first > low || pos[i] == START;
#endif
#ifndef MUTANT_CHAIN_UNCHECKED
      linked = linked && PREVIOUS(J[first]) == pos[i];
#endif
      if
      :: linked ->
        pos[i] = J[first];
        last[i] = TEXT(J[first]);
#ifndef MUTANT_REPLAYED_FORGOTTEN
        replayed[i] = replayed[i] | BIT(J[first]);
#endif
        deliver(i, J[first], 1)
      :: else
      fi
    fi;
    first++
  :: else -> break
  od;
  if :: linked && isAll -> release(i) :: else fi
}

inline begin(i, end) {
  pos[i] = (early[i] != NONE && early[i] > end -> early[i] : end)
}

inline lost(i) {
  clearHeld(i);
  early[i] = NONE;
  replayed[i] = 0;
  catching[i] = false;
  if :: pos[i] == START -> pos[i] = NONE :: else fi
}
