/* What journal.c (which entries there are, in their order) and journal-gap.c (where some are missing) share. */
#pragma once

#include <systemd/sd-journal.h>

#include "journal.h"

struct Journal {
        /* owned */
        sd_journal *handle; /* NULL: closed, or it could not be opened */
        sd_event_source *io;
        sd_event_source *turn;
        sd_event_source *retry; /* of what could not be read */
        char *attempt; /* of which alone entries are given, in whatever boot; NULL: of all, in this one */
        char *last;  /* cursor of the last entry that was given */
        char *begin; /* that of the entry it began with; NULL: there is none */
        /* borrowed */
        sd_event *event;
        const char *directory; /* NULL: the system's */
        journal_entry_t on_entry;
        journal_end_t on_end;
        void *userdata;
        uint64_t position_usec; /* monotonic: everything before it has been given */
        uint64_t seen_usec; /* monotonic: what was stored up to here is looked for, or has been */
        uint64_t
                torn_usec; /* what was stored between seen_usec and here may be gone, which is still to be given; 0: nothing */
        uint64_t newest_usec;     /* monotonic: the newest entry that the handle has had */
        uint64_t unreadable_usec; /* since when something cannot be read; 0: all can */
        bool open;                /* entries are wanted */
        bool failing;             /* which cannot be read, and this has been said */
        bool changed;             /* the handle is to be set to its place */
        bool renewed;             /* files have come or gone since it was opened */
        bool unsettled;           /* and since it last gave all that is stored */
        bool complete;            /* all that is stored is to be given before the end */
        bool set;                 /* to its place: the last entry comes again */
        bool again;               /* the entry under the handle is still to be given */
};

/* A handle of all files. */
int journal_open_files(const Journal *j, sd_journal **ret);
/* The times of the first and the last entry of this boot, monotonic. False when there is none. */
bool journal_get_range(const Journal *j, uint64_t *oldest_usec, uint64_t *newest_usec);
/* Entries of this boot only: a seek to a time of it leaves files without it at their first entry. */
int journal_match_boot(sd_journal *handle);
void journal_set_message(JournalEntry *entry, const char *text); /* text: borrowed */

/* Looks whether there is one, and notes it: then it is to be given before any entry. All files must be under the handle. */
void journal_gap_look(Journal *j);
/* Everything that is stored by now has been given. */
void journal_gap_pass(Journal *j);
/* -EAGAIN: not taken; other errors: its place cannot be read. */
int journal_gap_give(Journal *j);
/* It was given, or never will be. */
void journal_gap_end(Journal *j);
