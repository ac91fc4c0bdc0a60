/*
 * The state of Redis, of the channel and of every instance.
 */
#define INSTANCES 2
#define QUEUE 5
#define JOURNAL 8
#define START 0   /* the offset before the first entry */
#define FAR 14    /* an offset beyond the horizon */
#define NONE 15   /* no offset, no message */
#define FORGED 16 /* wires of the hostile publisher */
#define FOREIGN_WIRE 24
#define PING_BEAT 40
#define PING_START 41

#define BIT(n) (1 << (n))
#define ALLOWED(offset) ((offset) != FAR)
#define OFFSET(w) ((w) < FORGED -> (w) : forged_offset[(w) & 1])
#define PREVIOUS(w) ((w) < FORGED -> prev[(w) & 15] : forged_prev[(w) & 1])
#define MESSAGE(w) ((w) < FORGED -> msg[(w) & 15] : 0)
/* Equal for equal texts: the same message at the same place. */
#define TEXT(w) ((w) < FORGED -> msg[(w) & 15] : (w))
#define HELD(i, n) held[(i) * HELD_LIMIT + (n)]
#define HEAD(i) queue[(i) * QUEUE]
#define TAIL (size > oldest -> J[size - 1] : START)
#define ALL (BIT(INSTANCES) - 1)

/* States of a publication. */
#define OUTBOX 1  /* waits, never tried */
#define SENT 2    /* under way for the first time */
#define ANSWER 3  /* the script has run, its answer is under way */
#define DONE 4
#define TRIED 5   /* waits, and may have been published */
#define RESENT 6  /* under way again: the script searches for it */

#ifdef BEATS_ALWAYS
#define BEATS true
#else
#define BEATS HEALED
#endif

/* States of a heartbeat. */
#define ASKED_TAIL 1
#define ASKED_PING 2
#define ANSWERED_BEAT 3

/* States of a catch-up. */
#define IDLE 0
#define ASK 1
#define READING 2
#define READ 3
#define STARTING 4
#define RESTART 5
#define PINGING 6

byte J[JOURNAL];          /* offsets of the entries */
byte oldest, size;        /* entries are J[oldest] to J[size - 1] */
byte prev[16], msg[16];   /* by offset */
short given, planted;     /* offsets that were given; written by a stranger */
byte top;
bool removed;             /* the journal was deleted once */
bool behind;              /* the server's clock is behind the journal's lost end */
byte forged_offset[2], forged_prev[2], forgeries;

byte messages, changes;    /* messages so far; those of decorated calls */
byte foreign;             /* a bit for each message of a publisher without a journal */
byte state[5], since[5], answer[5]; /* by message, four at most */
byte owner;               /* a bit for each message of instance 1 */
byte everything;          /* a bit for each widened message */
byte committed;           /* changes of the database */
byte applied[INSTANCES];  /* changes that the caches of an instance know */

byte queue[INSTANCES * QUEUE], queued[INSTANCES];
bool subscribed[INSTANCES], writable[INSTANCES], owed[INSTANCES], quiet[INSTANCES];
byte under_way[INSTANCES], acked[INSTANCES], draining;

byte pos[INSTANCES], last[INSTANCES], early[INSTANCES];
bool catching[INSTANCES];
short replayed[INSTANCES];
byte held[INSTANCES * HELD_LIMIT], held_n[INSTANCES], before[INSTANCES];

byte phase[INSTANCES], from[INSTANCES], upto[INSTANCES], tail[INSTANCES];
byte began[INSTANCES], acked_then[INSTANCES];
bool first_time[INSTANCES];

byte beat[INSTANCES], beat_tail[INSTANCES], beat_acked[INSTANCES];
bool broken[INSTANCES];
byte echo[INSTANCES], confirmed[INSTANCES];
short doubtful[INSTANCES];

bool bound_too_small;     /* never set; it marks the assertions of bounds */
#define BOUND(x) assert((x) || bound_too_small)
byte faults = FAULTS;     /* faults that may still happen */
#define HEALED (faults == 0)
byte calm;                /* instances that a heartbeat has proved since the last event */
byte proving;             /* instances whose heartbeat began since then */
#define STIR calm = 0; proving = 0

hidden byte x, m, reply, id, seen, wire, end;
hidden byte linked, found, lostOwn, passes, whole, complete_;
hidden short wanted;

#define OWNER(m) ((owner >> (m)) & 1)
#define ABROAD(m) ((foreign >> (m)) & 1)
#ifdef SIGNED
#define READABLE(id) (!(planted & BIT(id)))
#else
#define READABLE(id) true
#endif
#define IS_DONE(m) (state[m] == 0 || state[m] == DONE)
#define FLYING(m) (state[m] == SENT || state[m] == ANSWER || state[m] == RESENT)

#define ALL_DONE (IS_DONE(1) && IS_DONE(2) && IS_DONE(3) && IS_DONE(4))
#ifdef SERIAL
#define MAY_PUBLISH ALL_DONE
#else
#define MAY_PUBLISH true
#endif
#define NO_MAIL(i) (queued[i] == 0 || (queued[i] == 1 && HEAD(i) == PING_BEAT))
#define QUIET (HEALED && ALL_DONE && NO_MAIL(0) && NO_MAIL(1) && phase[0] == IDLE && phase[1] == IDLE && subscribed[0] && subscribed[1] && writable[0] && writable[1])

