/* One journal handle for all attempts: a constant field (SLUICE_KIND=task) selects their entries, and the unit's name, which
 * only journald can write, says whose each is. */
#include "journal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-id128.h>
#include <systemd/sd-journal.h>

#include "log.h"
#include "str.h"
#include "unit-name.h"

#define ENTRIES_PER_TURN 256
#define MESSAGE_ID_DROPPED                                                                         \
        "MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e" /* systemd's sd-messages.h */

struct Journal {
        /* owned */
        sd_journal *handle; /* NULL: closed */
        sd_event_source *io;
        sd_event_source *turn;
        /* borrowed */
        sd_event *event;
        journal_entry_t on_entry;
        journal_end_t on_end;
        void *userdata;
        uint64_t position_usec; /* monotonic: everything before it has been given */
        bool again;             /* the entry under the handle was not taken */
};

static int journal_on_turn(sd_event_source *source, void *userdata);

static int journal_on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Journal *j = userdata;

        (void) source;
        (void) fd;
        (void) revents;
        (void) sd_journal_process(j->handle);
        journal_resume(j);
        return 0;
}

/* Entries of tasks, and what journald says of its own losses. */
static int add_matches(sd_journal *handle) {
        int r = sd_journal_add_match(handle, "SLUICE_KIND=task", 0);

        if (r >= 0)
                r = sd_journal_add_disjunction(handle);
        if (r >= 0)
                r = sd_journal_add_match(handle, MESSAGE_ID_DROPPED, 0);
        if (r >= 0)
                r = sd_journal_add_match(handle, "_TRANSPORT=driver", 0);
        return r;
}

static int add_matches_of(sd_journal *handle, const char *id) {
        char unit[96], object[96];
        int r;

        (void) snprintf(unit, sizeof(unit), "_SYSTEMD_UNIT=sluice-%s.service", id);
        (void) snprintf(object, sizeof(object), "OBJECT_SYSTEMD_UNIT=sluice-%s.service", id);
        r = sd_journal_add_match(handle, unit, 0);
        if (r >= 0)
                r = sd_journal_add_disjunction(handle);
        if (r >= 0)
                r = sd_journal_add_match(handle, object, 0);
        if (r >= 0)
                r = sd_journal_add_match(handle, MESSAGE_ID_DROPPED, 0);
        if (r >= 0)
                r = sd_journal_add_match(handle, "_TRANSPORT=driver", 0);
        return r;
}

/* id: NULL for all. */
static int journal_open(Journal *j, const char *id) {
        int r = sd_journal_open(&j->handle, SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM);

        if (r >= 0)
                r = sd_journal_set_data_threshold(j->handle, 0);
        if (r >= 0)
                r = id ? add_matches_of(j->handle, id) : add_matches(j->handle);
        if (r >= 0)
                r = sd_journal_get_fd(j->handle);
        if (r >= 0)
                r = sd_event_add_io(j->event, &j->io, r,
                                    (uint32_t) sd_journal_get_events(j->handle), journal_on_io, j);
        if (r >= 0)
                r = sd_event_add_defer(j->event, &j->turn, journal_on_turn, j);
        if (r < 0)
                journal_close(j);
        return r;
}

void journal_close(Journal *j) {
        j->io = sd_event_source_disable_unref(j->io);
        j->turn = sd_event_source_disable_unref(j->turn);
        if (j->handle)
                sd_journal_close(j->handle);
        j->handle = NULL;
        j->again = false;
}

bool journal_is_open(const Journal *j) {
        return j->handle != NULL;
}

int journal_read_from(Journal *j, uint64_t monotonic_usec) {
        sd_id128_t boot;
        int r = sd_id128_get_boot(&boot);

        if (r >= 0 && !j->handle)
                r = journal_open(j, NULL);
        else if (r >= 0 && monotonic_usec > j->position_usec)
                return 0;
        if (r >= 0)
                r = sd_journal_seek_monotonic_usec(j->handle, boot, monotonic_usec);
        if (r < 0) {
                journal_close(j);
                return r;
        }
        j->position_usec = monotonic_usec;
        j->again = false;
        journal_resume(j);
        return 1;
}

int journal_read_attempt(Journal *j, const char *id, const char *cursor) {
        int r = j->handle ? 0 : journal_open(j, id);

        if (r >= 0)
                r = cursor ? sd_journal_seek_cursor(j->handle, cursor)
                           : sd_journal_seek_head(j->handle);
        if (r < 0) {
                journal_close(j);
                return r;
        }
        j->again = false;
        journal_resume(j);
        return 0;
}

void journal_resume(Journal *j) {
        if (j->turn)
                (void) sd_event_source_set_enabled(j->turn, SD_EVENT_ONESHOT);
}

/* What follows "NAME=" in the current entry; valid until the next field is asked for. */
static int get_field(Journal *j, const char *name, const char **ret, size_t *ret_size) {
        size_t prefix = strlen(name) + 1, size;
        const void *data;
        int r = sd_journal_get_data(j->handle, name, &data, &size);

        if (r < 0)
                return r;
        if (size < prefix)
                return -EBADMSG;
        *ret = (const char *) data + prefix;
        *ret_size = size - prefix;
        return 0;
}

static void copy_field(Journal *j, const char *name, char *target, size_t target_size) {
        const char *text;
        size_t size;

        target[0] = '\0';
        if (get_field(j, name, &text, &size) >= 0)
                (void) snprintf(target, target_size, "%.*s", (int) (size > 4096 ? 4096 : size),
                                text);
}

/* Whose entry it is; -ENOENT when it is nobody's. */
static int read_attempt(Journal *j, JournalEntry *entry) {
        char unit[80];
        UnitName u;

        copy_field(j, "_SYSTEMD_UNIT", unit, sizeof(unit));
        entry->gap = str_eq(unit, "systemd-journald.service");
        if (entry->gap)
                copy_field(j, "OBJECT_SYSTEMD_UNIT", unit, sizeof(unit));
        if (!unit_name_from_service(unit, &u))
                return -ENOENT;
        (void) strcpy(entry->attempt, u.hex);
        return 0;
}

static int read_entry(Journal *j, JournalEntry *entry, char **cursor) {
        sd_id128_t boot;
        int r = read_attempt(j, entry);

        if (r >= 0)
                r = sd_journal_get_realtime_usec(j->handle, &entry->realtime_usec);
        if (r >= 0)
                r = sd_journal_get_monotonic_usec(j->handle, &entry->monotonic_usec, &boot);
        if (r >= 0)
                r = sd_journal_get_cursor(j->handle, cursor);
        if (r < 0)
                return r;
        entry->cursor = *cursor;
        copy_field(j, "PRIORITY", entry->priority, sizeof(entry->priority));
        copy_field(j, "SYSLOG_IDENTIFIER", entry->identifier, sizeof(entry->identifier));
        copy_field(j, "_PID", entry->pid, sizeof(entry->pid));
        r = get_field(j, "MESSAGE", &entry->message, &entry->full_size);
        if (r == -ENOENT) {
                entry->message = "";
                entry->full_size = 0;
                r = 0;
        }
        entry->size =
                entry->full_size > JOURNAL_MESSAGE_MAX ? JOURNAL_MESSAGE_MAX : entry->full_size;
        return r;
}

/* 1: given; 0: not wanted or damaged; -EAGAIN: not taken. */
static int give_entry(Journal *j) {
        _cleanup_(freep) char *cursor = NULL;
        JournalEntry entry = {};
        int r = read_entry(j, &entry, &cursor);

        if (r < 0)
                return 0; /* nobody's, or on a damaged page: journald has said so itself */
        if (j->on_entry(&entry, j->userdata) == JOURNAL_FULL)
                return -EAGAIN;
        j->position_usec = entry.monotonic_usec;
        return 1;
}

static int journal_on_turn(sd_event_source *source, void *userdata) {
        Journal *j = userdata;

        (void) source;
        if (!j->again)
                (void) sd_journal_process(j->handle); /* a file that was begun just now */
        for (unsigned i = 0; i < ENTRIES_PER_TURN; i++) {
                int r = j->again ? 1 : sd_journal_next(j->handle);

                if (r < 0) {
                        (void) log_error(r, "Cannot read the journal");
                        return 0;
                }
                if (r == 0) {
                        j->on_end(j->userdata);
                        return 0;
                }
                j->again = give_entry(j) == -EAGAIN;
                if (j->again)
                        return 0; /* until journal_resume() */
        }
        journal_resume(j);
        return 0;
}

int journal_new(sd_event *event, journal_entry_t on_entry, journal_end_t on_end, void *userdata,
                Journal **ret) {
        Journal *j = calloc(1, sizeof(*j));

        if (!j)
                return -ENOMEM;
        *j = (Journal){
                .event = event, .on_entry = on_entry, .on_end = on_end, .userdata = userdata
        };
        *ret = j;
        return 0;
}

Journal *journal_free(Journal *j) {
        if (!j)
                return NULL;
        journal_close(j);
        free(j);
        return NULL;
}
