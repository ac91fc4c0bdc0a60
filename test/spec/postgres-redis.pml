/*
 * Redis: the journal, the record and their script; and a reader of the journal.
 */
#ifdef MUTANT_ID_BY_LSN
#define ID(item_) (item_ & ~3)
#define ID_BITS(item_) (15 << (item_ & ~3))
#else
#define ID(item_) (item_)
#define ID_BITS(item_) BIT(item_)
#endif

/* `found` says whether the journal has a message of the same id. */
inline find(item_) {
#ifdef REDIS_FAILOVER
  found = false;
#else
  found = item_ < EARLY && (known & ID_BITS(item_)) != 0;
#endif
  x = 0;
  do
  :: x < size && item_ != WIDE -> found = found || ID(journal[x]) == ID(item_); x++
  :: else -> break
  od
}

inline append(item_) {
  BOUND(size < JOURNAL);
#ifdef REDIS_FAILOVER
  records[size] = record;
#endif
  journal[size] = item_;
  size++
}

inline announce(item_) {
  find(item_);
#ifdef MUTANT_NO_IDS
  /* Messages are announced once, as long as the journal has them. */
  assert(!found);
#endif
  if
  :: found -> skip
  :: else -> append(item_)
  fi
}

#ifdef MUTANT_BLIND
#define MATCHES(from) true
#else
#define MATCHES(from) (record == (from))
#endif

/* The script: compare, append, and set the record. */
inline script(item_, from, to) {
  announce(item_);
  record = to
}

inline affects(t) {
  copy[t] = EMPTY;
#ifdef LOADS
  overtaken = overtaken || load == t + 1
#endif
}

inline evictAll() {
  y = 0;
  do
  :: y < TXS -> affects(y); y++
  :: else -> break
  od;
  y = 0
}

inline apply(item_) {
  if
  :: item_ == WIDE -> evictAll()
  :: else -> affects(ROW(item_))
  fi
}

inline deliver() {
#ifdef REDIS_FAILOVER
  apply(journal[read]);
  read++
#else
  apply(journal[0]);
  if
  :: journal[0] < EARLY -> known = known | BIT(journal[0])
  :: else
  fi;
  x = 1;
  do
  :: x < size -> journal[x - 1] = journal[x]; x++
  :: else -> break
  od;
  size--;
  journal[size] = 0
#endif
}

#ifdef LOADS
inline endLoad() {
#ifdef MUTANT_NO_FENCE
  copy[load - 1] = loaded;
#else
  if
  :: !overtaken -> copy[load - 1] = loaded
  :: else
  fi;
#endif
  load = 0;
  loaded = 0;
  overtaken = false
}
#endif

#ifdef LOADS
#define LOAD(t) d_step { load == 0 -> load = t + 1; loaded = VALUE(t) }
#else
/* A load that no message overtakes is as good as one step. */
#define LOAD(t) d_step { copy[t] == EMPTY -> copy[t] = VALUE(t) }
#endif

proctype reader() {
end:
  do
  :: LOAD(0)
#if TXS > 1
  :: LOAD(1)
#endif
#if TXS > 2
  :: LOAD(2)
#endif
#ifdef LOADS
  :: d_step { load > 0 -> endLoad() }
#endif
  :: d_step { read < size -> deliver() }
  od
}

/* A replica that lacks the last entry takes over. A reader whose position is gone
   evicts everything. */
#ifdef REDIS_FAILOVER
inline loseEntry() {
  size--;
  journal[size] = 0;
  record = records[size];
  records[size] = 0;
  if
  :: read > size -> read = size; evictAll()
  :: else
  fi;
  x = 0
}
#endif
