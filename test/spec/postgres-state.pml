/*
 * The state of PostgreSQL, Redis, the source's two processes, and one reader.
 */
#define BIT(n) (1 << (n))
#define ALL (BIT(TXS) - 1)

/* PostgreSQL. The LSN of a commit is the number of commits up to it. */
byte wal[TXS];            /* transactions by the order of their commit records */
byte tip;                 /* commit records written */
#ifdef ASYNC
byte flushed;             /* commit records on disk */
#else
#define flushed tip
#endif
byte logged, visible;     /* a bit for each transaction */
byte stamp[TXS];          /* times that a transaction was lost and written again */
byte identity;            /* system identifier, timeline and start of the server */
bool exists = !ABSENT;    /* the slot */
byte confirmed, base;     /* its confirmed LSN, and the one at its creation */
#define NOBODY 0
#define GHOST 3           /* a session whose process is dead */
byte owner;              /* NOBODY, the holder + 1, or GHOST */

/* Redis. A record is the identity, a position, and what is owed. */
#define NONE 1024
#define RECORD(i, lsn, debt) (((i) << 6) + ((lsn) << 3) + (debt))
#define LSN(r) (((r) >> 3) & 7)
#define DEBT(r) ((r) & 7)
#define IDENTITY(r) ((r) >> 6)
#define WIDE 255          /* a message: everything of the types */
#define EARLY 64          /* added to a message that is said again later */
#define ROW(m) ((m) & 3)
byte journal[JOURNAL], size;
#ifndef REDIS_FAILOVER
short known;              /* ids of entries that were delivered, and are not in `journal` */
#endif
short record = FIRST_RECORD;
#ifdef REDIS_FAILOVER
short records[JOURNAL];   /* the record before each entry */
#endif
#ifdef ORPHANS
byte orphan;              /* a call that outlived its connection; 0 for none */
byte orphan_item;
short orphan_from, orphan_to;
#endif

/* The source's processes. */
#define IDLE 0            /* the slot is tried for */
#define CHECKS 1          /* the slot is held, and the record is to be compared */
#define FOLLOWS 2
#define CREATES 3         /* with a mutant, the widening goes first */
byte phase[HOLDERS];
byte session[HOLDERS];    /* the identity of the server at the time */
byte buffer[HOLDERS * TXS], received[HOLDERS];
byte position[HOLDERS];   /* commits up to it are announced */
bool owes[HOLDERS];       /* a widening is to be published */
byte awaited[HOLDERS];    /* transactions that must be visible before it */
byte early[HOLDERS];      /* those announced before their turn */
short acked[HOLDERS];     /* the record, as far as the process knows */
#define SENT 1
#define HALF 2            /* one of two steps is done, with a mutant */
#define DONE 3
#define REFUSED 4
byte call[HOLDERS], item[HOLDERS];
short target[HOLDERS];    /* the record that the call sets */
#ifdef MEMORY
byte memory[HOLDERS];     /* what a mutant keeps in memory only */
#endif

/* One reader, with a copy of each row. Transaction t changes row t. */
#define EMPTY 0
#define OLD 1
#define NEW 2
#define VALUE(t) ((visible & BIT(t)) != 0 -> NEW : OLD)
byte copy[TXS];
#ifdef REDIS_FAILOVER
byte read;                /* entries of the journal that it has applied */
#else
#define read 0            /* delivered entries leave `journal` */
#endif
#ifdef LOADS
byte load, loaded;        /* the row that is loaded + 1, and what was read */
bool overtaken;           /* a message for the row was delivered since */
#endif
#ifdef LTL
bool settled;
#endif

byte faults = FAULTS;     /* faults that may still happen */
bool bound_too_small;     /* never set; it marks the assertions of bounds */
#define BOUND(x) assert((x) || bound_too_small)

hidden byte x, y, set;
hidden byte found;
