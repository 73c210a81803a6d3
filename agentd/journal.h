/* The journal's entries of attempts, in order, from a place on. Only open while somebody needs it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "cleanup.h"
#include "id.h"

#define JOURNAL_MESSAGE_MAX (768 * 1024) /* so that every entry fits into a chunk */

typedef struct Journal Journal;

/* Valid inside the callback. */
typedef struct JournalEntry {
        char attempt[ID_HEX_SIZE]; /* "": of all that were there, with gap */
        uint64_t realtime_usec, monotonic_usec;
        const char *cursor;
        char priority[8]; /* "" when absent, as the next two */
        char identifier[256];
        char pid[16];
        const char *message; /* not terminated; cut at JOURNAL_MESSAGE_MAX */
        size_t size;
        size_t full_size; /* before it was cut */
        bool gap;         /* entries before it may be missing */
} JournalEntry;

typedef enum JournalVerdict {
        JOURNAL_TAKEN,
        JOURNAL_FULL, /* give it to me again, after journal_resume() */
} JournalVerdict;

typedef JournalVerdict (*journal_entry_t)(const JournalEntry *entry, void *userdata);
/* All that journald had stored has been given. */
typedef void (*journal_end_t)(void *userdata);

/* directory: borrowed, where the files are; NULL: where journald has those of this host. */
int journal_new(sd_event *event, const char *directory, journal_entry_t on_entry,
                journal_end_t on_end, void *userdata, Journal **ret);
Journal *journal_free(Journal *j);
DEFINE_SCOPE_EXIT(Journal, journal_free)

/* Reads (again) from that time of this boot on: true. Reading that has come less far goes on: false. What cannot be opened or read is
 * tried again until it can be, here and below. */
bool journal_read_from(Journal *j, uint64_t monotonic_usec);
/* Reads what there is of one attempt, called id on the host, of whatever boot, from that entry on (it comes again), or from the first; on_end comes at
 * its end. A Journal that is used like this has no other use. -ENOMEM */
int journal_read_attempt(Journal *j, const char *id, const char *cursor);
/* Goes on where an entry was not taken, and to the end; ends in on_end. */
void journal_resume(Journal *j);
/* The same, once journald has said that it has stored something: whatever that is is given before on_end. */
void journal_look_again(Journal *j);
/* Whether these are cursors of one entry, in whatever file: journald gives it another number when it moves it from memory to disk. */
bool journal_is_same(const char *cursor, const char *other);
void journal_close(Journal *j);
bool journal_is_open(const Journal *j);
