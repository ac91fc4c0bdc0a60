/*
 * Replicas that lag, and the marks of each instance: a position in the database's log
 * that its replica may not have passed yet. `replica.md` explains them.
 *
 * The log ends at twice the row's version, and a commit record begins at the end before
 * it. Position 0 stands for none.
 */
#ifndef REPLICAS
#define REPLICAS INSTANCES
#endif
#define replicaOf(i) ((i) % REPLICAS)
#define logEnd(newest) (2 * (newest))

byte replayed[REPLICAS] = 1; /* version of the row that its loads see */
byte at[CHANGES];            /* position that the message of each change carries */
byte marked[INSTANCES];      /* latest position of the marks */
bool unasked[INSTANCES];     /* whether marks wait for a question to the primary */
byte asked[INSTANCES];       /* the primary's answer, under way */
bool behind[LOADS];          /* whether the row was marked when the load began */

#define isMarked(i) (marked[i] > 0 || unasked[i] || asked[i] > 0)

#ifdef MUTANT_IN_TRANSACTION
/* Asked for before the commit record was written, minus one byte. */
#define committedAt(newest) (logEnd((newest) - 1) - 1)
#else
#define committedAt(newest) logEnd((newest) - 1)
#endif

/* Minus one byte, so that a replica passes the end of a log in which nothing follows. */
#ifdef MUTANT_WHOLE_END
#define currentPosition logEnd(row)
#else
#define currentPosition (logEnd(row) - 1)
#endif

#ifdef MUTANT_PASSED_EQUAL
#define hasPassed(i, place) (logEnd(replayed[replicaOf(i)]) >= (place))
#else
#define hasPassed(i, place) (logEnd(replayed[replicaOf(i)]) > (place))
#endif

#ifdef MUTANT_UNTOLD_UNMARKED
#define placeOf(w) (at[w] == 0 -> 1 : at[w])
#else
#define placeOf(w) at[w]
#endif
#ifdef MUTANT_WIDENED_UNMARKED
#define placeOfWidened 1
#else
#define placeOfWidened 0
#endif

#if defined(PRIMARY) && !defined(MUTANT_CHECKED_AT_LANDING)
/* What is marked is loaded from the primary. */
#define rowFor(f) (behind[f] -> row : replayed[replicaOf(instanceOf(f))])
#define isKeepable(f) true
#define isOwed(f) true
#else
/* What is marked is loaded from the replica, and not kept. */
#define MAY_BE_BEHIND
bool fresh[LOADS];          /* ghost: a reader began when nothing was marked */
#define rowFor(f) replayed[replicaOf(instanceOf(f))]
#define isKeepable(f) (!behind[f])
#define isOwed(f) fresh[f]
#endif
#if !defined(MAY_BE_BEHIND) || defined(MUTANT_JOIN_BEHIND)
#define isJoinable(f) joinable[f]
#else
#define isJoinable(f) (joinable[f] && !(behind[f] && !isMarked(instanceOf(f))))
#endif

inline setMark(i, place) {
  if
  :: (place) == 0 -> unasked[i] = true
#ifdef MUTANT_MARK_REPLACED
  :: (place) > 0 -> marked[i] = place
#else
  :: (place) > marked[i] -> marked[i] = place
#endif
  :: else
  fi
}

#ifdef MUTANT_MARK_LATE
byte late[INSTANCES]; /* a position to be marked, and one more */
inline addMark(i, place) {
  late[i] = (late[i] == 1 || (place) == 0 -> 1 : (late[i] > place -> late[i] : place + 1))
}
#else
inline addMark(i, place) {
  setMark(i, place)
}
#endif

inline forgetMarks(i) {
  marked[i] = 0; unasked[i] = false; asked[i] = 0;
#ifdef MUTANT_MARK_LATE
  late[i] = 0;
#endif
  skip
}

proctype Replica(byte r) {
  byte f;
end: do
  :: d_step { replayed[r] < row -> replayed[r]++ }
#ifdef MOVES
  /* Connections lead to another server, which has replayed less: everything is marked. */
  :: d_step { replayed[r] > 1 ->
      replayed[r]--;
#ifndef MUTANT_MOVED_UNMARKED
      f = 0;
      do
      :: f < LOADS && replicaOf(instanceOf(f)) == r ->
        unasked[instanceOf(f)] = true;
#ifdef MAY_BE_BEHIND
        behind[f] = behind[f] || phase[f] == LOADING || phase[f] == LOADED;
        fresh[f] = false;
#endif
        f++
      :: f < LOADS && replicaOf(instanceOf(f)) != r -> f++
      :: else -> break
      od;
      f = 0
#else
      skip
#endif
    }
#endif
  od
}

/* Asks the primary for positions, and forgets those that the replica has passed. */
proctype Progress(byte i) {
end: do
  :: d_step { unasked[i] && asked[i] == 0 -> unasked[i] = false; asked[i] = currentPosition }
  :: d_step { asked[i] > 0 ->
      setMark(i, asked[i]);
#ifdef MUTANT_ASKED_BEFORE
      unasked[i] = false;
#endif
      asked[i] = 0 }
#ifndef LIVENESS
  /* The primary did not answer. */
  :: d_step { asked[i] > 0 -> asked[i] = 0; unasked[i] = true }
#endif
  :: d_step { marked[i] > 0 && hasPassed(i, marked[i]) -> marked[i] = 0 }
#ifdef MUTANT_FORGOTTEN_BY_TIME
  :: d_step { marked[i] > 0 -> marked[i] = 0 }
#endif
#ifdef MUTANT_MARK_LATE
  :: d_step { late[i] > 0 -> setMark(i, late[i] - 1); late[i] = 0 }
#endif
  od
}
