/*
 * The state of both regions, of the relays between them, and of one local instance.
 */
#define START 0    /* the offset before the first entry */
#define NONE 15    /* no offset: no record, no proof */
#define WIDE 16    /* added to the offset up to which a widened message counts */
#define EMPTY 255  /* no copy */
#define QUEUE 4

#define BIT(n) (1 << (n))
#define TO(element) ((element) & 15)
#define ALL_WRITES (BIT(WRITES) - 1)
#define WAITING(r, n) waiting[(r) * SENDING + (n)]
#define LIVE(r, n) live[(r) * QUEUE + (n)]
/* The offset of the last message that relay `r` took, acknowledged or not. */
#define POSITION(r) (waiting_n[r] > 0 -> TO(WAITING(r, waiting_n[r] - 1)) : acked[r])
#define LAST (size == 0 -> FIRST_RECORD : TO(journal[size - 1]))

/* The source. */
short present;            /* a bit for each offset in the journal */
short given;              /* a bit for each offset that was ever given */
byte tail, top;           /* the last offset of the journal; the highest ever */
byte before[OFFSETS];     /* the predecessor, by offset */
byte change[OFFSETS];     /* the write as a bit, by offset */
byte writes;              /* writes so far */
byte lost;                /* writes whose entry a failover lost, a bit each */
bool reachable = true;    /* the link from the source */

/* The relays. */
#define BEGIN 0           /* the record is to be read */
#define CATCH_UP 1        /* the journal of the source is to be read */
#define FOLLOWS 2
byte phase[RELAYS];
byte acked[RELAYS];       /* the record, as far as the relay knows */
#ifdef COUNTED
byte acked_count[RELAYS]; /* the record's count of widenings, as far as the relay knows */
#endif
byte waiting[RELAYS * SENDING], waiting_n[RELAYS];
bool subscribed[RELAYS];
byte live[RELAYS * QUEUE], live_n[RELAYS];
#define SENT 1
#define HALF 2            /* one of two steps is done, with a mutant */
#define DONE 3
#define REFUSED 4
byte call[RELAYS];        /* the call of the forward script */
byte beat[RELAYS];        /* SENT: the tail was read; DONE: a proof is under way */
byte beat_tail[RELAYS];
#if defined(BEYOND) || defined(MUTANT_TRUST_MOVED_TAIL)
#define KEEPS_ACKED
byte beat_acked[RELAYS];
#define COMPARED(r) beat_acked[r]
#define RESET_COMPARED(r) beat_acked[r] = 0
#else
#define COMPARED(r) beat_tail[r]
#define RESET_COMPARED(r) skip
#endif

/* Local Redis. */
byte journal[JOURNAL], size;
byte record = FIRST_RECORD;
#ifdef COUNTED
byte count;               /* widenings, a part of the record */
#endif
byte proof = NONE;
#ifdef LOCAL_FAILOVER
byte proofs[JOURNAL + 1]; /* the last proof by length of the journal */
#endif
#ifdef ORPHANS
byte orphan, orphan_from; /* a call that outlived its connection; 0 for none */
#ifdef COUNTED
byte orphan_count;
#endif
#endif

/* One local instance, with one key that all writes affect. */
byte copy = EMPTY;        /* writes that the copy knows, a bit each */
byte read;                /* entries of the local journal that it has applied */
bool broken;              /* its position is not in the local journal any more */
bool beating;
byte beat_proof;
bool settled;             /* it applied a proof that covers every write */

byte faults = FAULTS;     /* faults that may still happen */
#define HEALED (faults == 0 && reachable)
bool bound_too_small;     /* never set; it marks the assertions of bounds */
#define BOUND(x) assert((x) || bound_too_small)

hidden byte x, y, id, covered, element, chain;
hidden byte holds, kept;
