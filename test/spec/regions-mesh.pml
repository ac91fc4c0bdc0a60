/*
 * Three regions that relay to each other: which messages go on, and where.
 * regions.pml has the relay itself; a step of a relay is one step here, since its
 * script is one. regions.md says in English what is modelled, and the bounds.
 *
 * Topology (-D)  MESH (each pulls from both others), HUB (region 0 pulls from 1 and
 *                2, which pull from it with transit), RING (each pulls from the one
 *                before it, with transit); TRANSIT switches it on for every link.
 * Sizes (-D)     MESSAGES, born in the regions in turn; FAULTS in all.
 */
#ifndef MESSAGES
#define MESSAGES 3
#endif
#ifndef FAULTS
#define FAULTS 0
#endif
#define REGIONS 3
#define SIZE 12
#define IDS 16
#define BIT(n) (1 << (n))
#define ALL (BIT(MESSAGES) - 1)

/* Links, by the region that is pulled from and the one that pulls. */
#if defined(MESH)
#define LINKS 6
#define TARGET(l) ((l) / 2)
#define SOURCE(l) (((l) / 2 + 1 + (l) % 2) % 3)
#define CONFIGURED(l) false
#elif defined(HUB)
#define LINKS 4
#define TARGET(l) (((l) / 2) * ((l) - 1))
#define SOURCE(l) ((1 - (l) / 2) * ((l) + 1))
#define CONFIGURED(l) ((l) >= 2)
#else
#define LINKS 3
#define TARGET(l) (((l) + 1) % 3)
#define SOURCE(l) (l)
#define CONFIGURED(l) true
#endif
#ifdef TRANSIT
#define TRANSITS(l) true
#else
#define TRANSITS(l) CONFIGURED(l)
#endif

/* An entry: the message, and a bit for each region that it was relayed through. */
#define ENTRY(d, n) journal[(d) * SIZE + (n)]
#define ID(entry) ((entry) & 15)
#define PATH(entry) ((entry) >> 4)
#define BORN(id) ((id) < MESSAGES -> (id) % REGIONS : born[id])
#define IS_COVERED(l) (!gone[l] && (record[l] == 0 -> oldest[SOURCE(l)] == 0 : record[l] > oldest[SOURCE(l)]))

byte journal[REGIONS * SIZE], size[REGIONS], oldest[REGIONS];
byte record[LINKS];       /* entries of the source that were forwarded or passed over */
bool gone[LINKS];         /* the position is not in the source's journal; no record */
byte published;           /* a bit for each message */
byte widened[LINKS];      /* widened messages by each relay */
byte born[IDS], known[IDS]; /* of widened messages: their region, what they stand for */
byte faults = FAULTS;
#ifdef FAILOVER
byte by[REGIONS * SIZE], was[REGIONS * SIZE]; /* the link of an entry + 1, its record before */
#endif
bool bound_too_small;     /* never set; it marks the assertions of bounds */

hidden byte x, y, id, path, next, set;

/* `set` becomes the messages that the journal of a region announces. */
inline announced(d) {
  set = 0;
  y = 0;
  do
  :: y < size[d] ->
    next = ID(ENTRY(d, y));
    set = set | (next < MESSAGES -> BIT(next) : known[next]);
    y++
  :: else -> break
  od
}

inline append(d, id_, path_, link_, was_) {
  x = 0;
  do
  :: x < size[d] ->
#ifndef REPEATS
    assert(ID(ENTRY(d, x)) != id_); /* once in each region */
#elif !defined(FAILOVER)
    assert(ENTRY(d, x) != id_ + (path_ << 4)); /* once by each path */
#endif
    x++
  :: else -> break
  od;
  assert(size[d] < SIZE); /* a bounded journal */
  ENTRY(d, size[d]) = id_ + (path_ << 4);
#ifdef FAILOVER
  by[d * SIZE + size[d]] = link_;
  was[d * SIZE + size[d]] = was_;
#endif
  size[d]++
}

/* `x` says whether an entry is to be forwarded. */
inline filter(l) {
#if defined(MUTANT_FORWARD_ALL)
  x = true
#elif defined(MUTANT_NO_PATH)
  x = path == 0 || (BORN(id) != TARGET(l) && TRANSITS(l))
#else
  x = path == 0 || (BORN(id) != TARGET(l) && !(path & BIT(TARGET(l))) && TRANSITS(l))
#endif
}

inline forwardNext(l) {
  id = ID(ENTRY(SOURCE(l), record[l]));
  path = PATH(ENTRY(SOURCE(l), record[l]));
  filter(l);
  if
  :: x ->
    assert(BORN(id) != TARGET(l)); /* no loops */
    path = path | BIT(TARGET(l));
    append(TARGET(l), id, path, l + 1, record[l])
  :: else
  fi;
  record[l]++
}

inline widen(l) {
  id = MESSAGES + l + LINKS * widened[l];
  assert(id < IDS || bound_too_small);
  widened[l]++;
  announced(SOURCE(l));
  born[id] = SOURCE(l);
  known[id] = set;
  append(TARGET(l), id, BIT(TARGET(l)), l + 1, record[l]);
  record[l] = size[SOURCE(l)];
  gone[l] = false
}

proctype relay(byte l) {
end:
  do
  :: d_step { !IS_COVERED(l) -> widen(l) }
  :: d_step { IS_COVERED(l) && record[l] < size[SOURCE(l)] -> forwardNext(l) }
  od
}

proctype publisher(byte d) {
  byte m = d;
end:
  do
  :: d_step { m < MESSAGES && !(published & BIT(m)) -> append(d, m, 0, 0, 0); published = published | BIT(m) }
  :: d_step { m + REGIONS < MESSAGES && (published & BIT(m)) -> m = m + REGIONS }
#ifdef FAILOVER
  :: d_step { m != d && !(published & BIT(d)) -> m = d }
#endif
  od
}

/* A replica without the last entry takes over, with the records of its time. The
   publisher publishes the entry again, if it was its own. */
inline loseLast(d) {
  size[d]--;
  id = ID(ENTRY(d, size[d]));
  if
  :: id < MESSAGES && BORN(id) == d -> published = published & ~BIT(id)
  :: else
  fi;
  ENTRY(d, size[d]) = 0;
#ifdef FAILOVER
  x = by[d * SIZE + size[d]];
  if
  :: x > 0 -> record[x - 1] = was[d * SIZE + size[d]]
  :: else
  fi;
  by[d * SIZE + size[d]] = 0;
  was[d * SIZE + size[d]] = 0;
#endif
  x = 0;
  do
  :: x < LINKS ->
    if
    :: SOURCE(x) == d && record[x] > size[d] -> gone[x] = true
    :: else
    fi;
    x++
  :: else -> break
  od;
  x = 0
}

/* Faults, and the check of what is true when nothing is under way. */
proctype world() {
  byte d;
end:
  do
#ifdef TRIM
  :: atomic { faults > 0 -> faults--; select(d : 0 .. 2); if :: size[d] > oldest[d] + 1 -> oldest[d]++ :: else fi; d = 0 }
#endif
#ifdef FAILOVER
  :: atomic {
      faults > 0 -> faults--;
      select(d : 0 .. 2);
      do
      :: d_step { size[d] > oldest[d] -> loseLast(d) }
      :: break
      od;
      d = 0
    }
#endif
  :: d_step {
      published == ALL ->
      x = 0;
      do
      :: x < LINKS && IS_COVERED(x) && record[x] == size[SOURCE(x)] -> x++
      :: else -> break
      od;
      if
      :: x == LINKS ->
        d = 0;
        do
        :: d < REGIONS -> announced(d); assert(set == ALL); d++ /* nothing is dropped */
        :: else -> break
        od;
        d = 0
      :: else
      fi
    }
  od
}

init {
  byte n;
  d_step {
#ifdef FIRST
    do
    :: n < LINKS -> gone[n] = true; n++
    :: else -> break
    od;
#endif
    n = 0
  }
  do
  :: n < LINKS -> run relay(n); n++
  :: else -> break
  od;
  run publisher(0); run publisher(1); run publisher(2); run world()
}
