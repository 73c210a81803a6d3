/* One journal handle for all attempts: a constant field (SLUICE_KIND=task) selects their entries, and the unit's name, which
 * only journald can write, says whose each is.
 *
 * journald counts an entry in its file's header before it links it to the data that are matched, and sd_journal_next() that has
 * come to a file's end passes over the file for as long as this count is the same (systemd's journal-file.c and sd-journal.c,
 * journal_file_link_entry() and next_beyond_location()). An entry that was looked for between the two would be found only
 * when another followed it. So whenever the journal is known to have changed, the handle is set to its place anew.
 *
 * A file that is looked into while journald begins it is left out until inotify tells of it again, which is some time after
 * its first entries; one in which something looks damaged, as it may while an entry is linked, is left out, too, and nothing
 * tells of that; and a directory that was not there when the handle was opened is not watched at all. So when files have come
 * or gone the handle is opened anew, and once more before what it gives is called all that is stored; and when it has no longer
 * the newest entry that it had, a file is missing.
 *
 * What journald itself has lost, or somebody has removed, is told as a gap: see journal-gap.c and add_matches(). */
#include "journal-internal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-id128.h>
#include <systemd/sd-journal.h>

#include "log.h"
#include "str.h"
#include "timespan.h"
#include "unit-name.h"

#define ENTRIES_PER_TURN 256
#define UNREADABLE_USEC (2 * USEC_PER_SEC) /* what is being stored is readable long before */
#define RETRY_USEC (20 * USEC_PER_MSEC)
#define FAILED_USEC (2 * USEC_PER_SEC) /* until a journal that cannot be read is tried again */
/* systemd's sd-messages.h */
#define MESSAGE_ID_DROPPED "a596d6fe7bfa4994828e72309e95d61e"
#define MESSAGE_ID_START "f77379a8490b408bbe5f6940505a777b"

static int journal_on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        (void) source;
        (void) usec;
        journal_resume(userdata);
        return 0;
}

static void retry_in(Journal *j, uint64_t usec) {
        (void) sd_event_source_set_time_relative(j->retry, usec);
        (void) sd_event_source_set_enabled(j->retry, SD_EVENT_ONESHOT);
}

static void process(Journal *j) {
        int r = sd_journal_process(j->handle);

        j->changed |= r != SD_JOURNAL_NOP;
        if (r == SD_JOURNAL_INVALIDATE)
                j->renewed = j->unsettled = true;
}

static int journal_on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Journal *j = userdata;

        (void) source;
        (void) fd;
        (void) revents;
        process(j);
        journal_resume(j);
        return 0;
}

int journal_match_boot(sd_journal *handle) {
        char match[sizeof("_BOOT_ID=") + SD_ID128_STRING_MAX] = "_BOOT_ID=";
        sd_id128_t boot;
        int r = sd_id128_get_boot(&boot);

        if (r < 0)
                return r;
        (void) sd_id128_to_string(boot, match + strlen(match));
        return sd_journal_add_match(handle, match, 0);
}

/* Entries of tasks, and what journald says of its own losses: when it is started it may have lost what it had not stored, and what
 * was written meanwhile, and when it was stopped along with its sockets it has lost every task's output for good. */
static int add_matches(sd_journal *handle) {
        int r = journal_match_boot(handle);

        if (r >= 0)
                r = sd_journal_add_conjunction(handle);
        if (r >= 0)
                r = sd_journal_add_match(handle, "SLUICE_KIND=task", 0);
        if (r >= 0)
                r = sd_journal_add_disjunction(handle);
        if (r >= 0)
                r = sd_journal_add_match(handle, "MESSAGE_ID=" MESSAGE_ID_DROPPED, 0);
        if (r >= 0)
                r = sd_journal_add_match(handle, "MESSAGE_ID=" MESSAGE_ID_START, 0);
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
                r = sd_journal_add_match(handle, "MESSAGE_ID=" MESSAGE_ID_DROPPED, 0);
        if (r >= 0)
                r = sd_journal_add_match(handle, "_TRANSPORT=driver", 0);
        return r;
}

static void close_handle(Journal *j) {
        j->io = sd_event_source_disable_unref(j->io);
        if (j->handle)
                sd_journal_close(j->handle);
        j->handle = NULL;
}

bool journal_get_range(const Journal *j, uint64_t *oldest_usec, uint64_t *newest_usec) {
        sd_id128_t boot;

        return sd_id128_get_boot(&boot) >= 0 &&
               sd_journal_get_cutoff_monotonic_usec(j->handle, boot, oldest_usec, newest_usec) > 0;
}

/* Not by the clock, which may have been set back since an entry was stored. 0 when there is none. */
static uint64_t newest_usec(const Journal *j) {
        uint64_t oldest, newest;

        return journal_get_range(j, &oldest, &newest) ? newest : 0;
}

/* Of those that there were. */
static bool lacks_file(Journal *j) {
        return newest_usec(j) < j->newest_usec;
}

int journal_open_files(const Journal *j, sd_journal **ret) {
        return j->directory ? sd_journal_open_directory(ret, j->directory, 0)
                            : sd_journal_open(ret, SD_JOURNAL_LOCAL_ONLY);
}

static int open_handle(Journal *j) {
        int r;

        close_handle(j);
        r = journal_open_files(j, &j->handle);
        if (r >= 0)
                r = sd_journal_set_data_threshold(j->handle, 0);
        if (r >= 0)
                r = j->attempt ? add_matches_of(j->handle, j->attempt) : add_matches(j->handle);
        if (r >= 0)
                r = sd_journal_get_fd(j->handle);
        if (r >= 0)
                r = sd_event_add_io(j->event, &j->io, r,
                                    (uint32_t) sd_journal_get_events(j->handle), journal_on_io, j);
        if (r < 0)
                close_handle(j);
        j->renewed = false;
        return r;
}

void journal_close(Journal *j) {
        close_handle(j);
        (void) sd_event_source_set_enabled(j->turn, SD_EVENT_OFF);
        (void) sd_event_source_set_enabled(j->retry, SD_EVENT_OFF);
        (void) str_replace(&j->attempt, NULL);
        (void) str_replace(&j->last, NULL);
        (void) str_replace(&j->begin, NULL);
        j->open = j->again = j->changed = j->complete = j->failing = false;
        j->torn_usec = j->newest_usec = 0;
}

bool journal_is_open(const Journal *j) {
        return j->open;
}

static int set_to_place(Journal *j) {
        const char *cursor = j->last ? j->last : j->begin;
        sd_id128_t boot;
        int r;

        j->set = true;
        if (cursor) {
                r = sd_journal_seek_cursor(j->handle, cursor);
                if (r != -EINVAL) /* else not one of journald's */
                        return r;
        }
        if (j->attempt)
                return sd_journal_seek_head(j->handle);
        r = sd_id128_get_boot(&boot);
        return r < 0 ? r : sd_journal_seek_monotonic_usec(j->handle, boot, j->position_usec);
}

static void begin_at(Journal *j, uint64_t monotonic_usec) {
        (void) str_replace(&j->last, NULL);
        j->position_usec = j->seen_usec = monotonic_usec;
        j->again = false;
        j->unsettled |= !j->open;
        j->open = j->changed = true;
        journal_resume(j);
}

bool journal_read_from(Journal *j, uint64_t monotonic_usec) {
        if (j->open && monotonic_usec > j->position_usec)
                return false;
        begin_at(j, monotonic_usec);
        return true;
}

int journal_read_attempt(Journal *j, const char *id, const char *cursor) {
        int r = str_replace(&j->attempt, id);

        if (r >= 0)
                r = str_replace(&j->begin, cursor);
        if (r >= 0)
                begin_at(j, 0);
        return r;
}

void journal_look_again(Journal *j) {
        j->changed = j->complete = true;
        journal_resume(j);
}

void journal_resume(Journal *j) {
        if (j->open)
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

/* A line of a task has its unit and a message for certain: journald knows them from PID 1 and from the line. What a program logs by itself
 * may have any field but these, or none. */
static bool is_line(Journal *j) {
        char transport[16];

        copy_field(j, "_TRANSPORT", transport, sizeof(transport));
        return str_eq(transport, "stdout");
}

static bool is_start(Journal *j) {
        char id[40];

        copy_field(j, "MESSAGE_ID", id, sizeof(id));
        return str_eq(id, MESSAGE_ID_START);
}

/* Whose entry it is; -ENOENT when it is nobody's. */
static int read_attempt(Journal *j, JournalEntry *entry) {
        char unit[80];
        UnitName u;

        copy_field(j, "_SYSTEMD_UNIT", unit, sizeof(unit));
        if (!*unit)
                return is_line(j) ? -ENODATA : -ENOENT;
        entry->gap = str_eq(unit, "systemd-journald.service");
        if (entry->gap && is_start(j))
                return 0;
        if (entry->gap)
                copy_field(j, "OBJECT_SYSTEMD_UNIT", unit, sizeof(unit));
        if (!unit_name_from_service(unit, &u))
                return -ENOENT;
        (void) strcpy(entry->attempt, u.hex);
        return 0;
}

void journal_set_message(JournalEntry *entry, const char *text) {
        entry->message = text;
        entry->full_size = entry->size = strlen(text);
}

static int read_message(Journal *j, JournalEntry *entry) {
        int r;

        if (!*entry->attempt) {
                journal_set_message(
                        entry, "systemd-journald was started anew: lines may be missing here.");
                return 0;
        }
        r = get_field(j, "MESSAGE", &entry->message, &entry->full_size);
        if (r == -ENOENT) {
                r = is_line(j) ? -ENODATA : 0;
                entry->message = "";
                entry->full_size = 0;
        }
        entry->size =
                entry->full_size > JOURNAL_MESSAGE_MAX ? JOURNAL_MESSAGE_MAX : entry->full_size;
        return r;
}

static int read_place(Journal *j, JournalEntry *entry, char **cursor) {
        sd_id128_t boot;
        int r = sd_journal_get_realtime_usec(j->handle, &entry->realtime_usec);

        if (r >= 0)
                r = sd_journal_get_monotonic_usec(j->handle, &entry->monotonic_usec, &boot);
        if (r >= 0)
                r = sd_journal_get_cursor(j->handle, cursor);
        entry->cursor = *cursor;
        return r;
}

static int read_entry(Journal *j, JournalEntry *entry, char **cursor) {
        int r = read_attempt(j, entry);

        if (r >= 0)
                r = read_place(j, entry, cursor);
        if (r < 0)
                return r;
        copy_field(j, "PRIORITY", entry->priority, sizeof(entry->priority));
        copy_field(j, "SYSLOG_IDENTIFIER", entry->identifier, sizeof(entry->identifier));
        copy_field(j, "_PID", entry->pid, sizeof(entry->pid));
        return read_message(j, entry);
}

/* Whether what cannot be read is on its way into the file is only known after some time. */
static bool is_damaged(Journal *j, int error, const char *what) {
        uint64_t now = clock_usec(CLOCK_MONOTONIC);

        if (j->unreadable_usec == 0)
                j->unreadable_usec = now;
        if (now - j->unreadable_usec >= UNREADABLE_USEC) {
                (void) log_error(error, "Passing over %s of the journal that cannot be read", what);
                return true;
        }
        retry_in(j, RETRY_USEC);
        return false;
}

/* Where it is can be read even if nothing else can, as it is not in the data that it links. */
static int read_damaged(Journal *j, JournalEntry *entry, char **cursor) {
        *entry = (JournalEntry){ .gap = true, .priority = "4", .identifier = "agentd" };
        journal_set_message(entry, "An entry of this host's journal is damaged: it may be a line "
                                   "that is missing here.");
        free(*cursor);
        *cursor = NULL;
        return read_place(j, entry, cursor) < 0 ? -ENOENT : 0;
}

/* 1: given; 0: not wanted; -EAGAIN: not taken, or to be read again. */
static int give_entry(Journal *j) {
        _cleanup_(freep) char *cursor = NULL;
        JournalEntry entry = {};
        int r = read_entry(j, &entry, &cursor);

        if (r < 0 && r != -ENOENT) {
                if (!is_damaged(j, r, "an entry"))
                        return -EAGAIN;
                r = read_damaged(j, &entry, &cursor);
        }
        j->unreadable_usec = 0;
        if (r < 0)
                return 0;
        if (j->on_entry(&entry, j->userdata) == JOURNAL_FULL)
                return -EAGAIN;
        j->position_usec = entry.monotonic_usec;
        free(j->last);
        j->last = TAKE_PTR(cursor);
        return 1;
}

/* What of a cursor is the entry's: its boot and times, and a checksum. What precedes is the file's, and its number there. */
static const char *entry_part(const char *cursor) {
        const char *part = strstr(cursor, ";b=");

        return part ? part : cursor;
}

/* Lines of one microsecond may differ in their numbers only, which can be compared where they are of one file's sequence. */
bool journal_is_same(const char *cursor, const char *other) {
        bool numbered = strncmp(cursor, other, strcspn(cursor, ";") + 1) == 0;

        return numbered ? str_eq(cursor, other) : str_eq(entry_part(cursor), entry_part(other));
}

static bool is_at(Journal *j, const char *cursor) {
        _cleanup_(freep) char *own = NULL;

        return sd_journal_get_cursor(j->handle, &own) >= 0 && journal_is_same(own, cursor);
}

/* The next entry that has not been given: as sd_journal_next(). */
static int next_entry(Journal *j) {
        int r = sd_journal_next(j->handle);

        if (r > 0 && j->set && j->last && is_at(j, j->last))
                r = sd_journal_next(j->handle);
        j->set = false;
        return r;
}

static void look_for_gap(Journal *j) {
        if (!lacks_file(j))
                journal_gap_look(j);
}

/* False: once more, after journal_resume(). */
static bool give_gap(Journal *j) {
        int r = journal_gap_give(j);

        if (r == -EAGAIN || (r < 0 && !is_damaged(j, r, "the beginning")))
                return false;
        journal_gap_end(j);
        return true;
}

static int look(Journal *j) {
        bool anew;
        int r;

        if (j->handle)
                process(j);
        anew = !j->handle || j->renewed || (j->complete && j->unsettled);
        r = anew ? open_handle(j) : 0;
        if (r >= 0 && j->newest_usec == 0)
                j->newest_usec = newest_usec(j);
        if (r >= 0 && (anew || j->changed))
                r = set_to_place(j);
        if (r < 0)
                return r;
        if (j->complete)
                j->unsettled = false;
        j->changed = j->complete = j->failing = false;
        look_for_gap(j);
        return 0;
}

/* Whether the end may be told: not while a file is left out, unless it is damaged for good, and not before a gap. */
static bool is_end(Journal *j) {
        if (!lacks_file(j)) {
                j->unreadable_usec = 0;
        } else if (!is_damaged(j, -EBADMSG, "a file")) {
                j->renewed = true;
                return false;
        }
        look_for_gap(j);
        if (j->torn_usec > 0) {
                journal_resume(j);
                return false;
        }
        j->newest_usec = newest_usec(j);
        journal_gap_pass(j);
        return true;
}

static int journal_on_turn(sd_event_source *source, void *userdata) {
        Journal *j = userdata;
        int r;

        (void) source;
        if (j->renewed)
                j->again = false; /* its file may be gone from under the handle: it comes again */
        r = j->again ? 0 : look(j);
        if (r >= 0 && j->torn_usec > 0 && !give_gap(j))
                return 0; /* until journal_resume() */
        for (unsigned i = 0; r >= 0 && i < ENTRIES_PER_TURN; i++) {
                r = j->again ? 1 : next_entry(j);
                if (r == 0 && !j->changed) {
                        if (is_end(j))
                                j->on_end(j->userdata);
                        return 0; /* until what retry or inotify begins */
                }
                if (r == 0) {
                        r = look(j);
                        if (j->torn_usec > 0)
                                break; /* the gap comes before what is behind it */
                } else if (r > 0) {
                        j->again = give_entry(j) == -EAGAIN;
                        if (j->again)
                                return 0; /* until journal_resume(), which may be that of retry */
                }
        }
        if (r < 0) {
                if (!j->failing)
                        (void) log_error(r,
                                         "Cannot read the journal, trying again until it can be");
                j->failing = true;
                retry_in(j, FAILED_USEC);
        } else {
                journal_resume(j);
        }
        return 0;
}

int journal_new(sd_event *event, const char *directory, journal_entry_t on_entry,
                journal_end_t on_end, void *userdata, Journal **ret) {
        _cleanup_(journal_freep) Journal *j = calloc(1, sizeof(*j));
        int r;

        if (!j)
                return -ENOMEM;
        *j = (Journal){
                .event = event,
                .directory = directory,
                .on_entry = on_entry,
                .on_end = on_end,
                .userdata = userdata,
        };
        r = sd_event_add_defer(event, &j->turn, journal_on_turn, j);
        if (r >= 0)
                r = sd_event_source_set_enabled(j->turn, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_time_relative(event, &j->retry, CLOCK_MONOTONIC, RETRY_USEC,
                                               PROMPT_USEC, journal_on_retry, j);
        if (r >= 0)
                r = sd_event_source_set_enabled(j->retry, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(j);
        return 0;
}

Journal *journal_free(Journal *j) {
        if (!j)
                return NULL;
        journal_close(j);
        (void) sd_event_source_disable_unref(j->turn);
        (void) sd_event_source_disable_unref(j->retry);
        free(j);
        return NULL;
}
