/* Order of things for one log: entry -> text -> frame -> stored. There is at most one frame, and text is only closed into a
 * frame when there is none. When text and frames together are too large, the journal is not read on. */
#include "shipper.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chunk.h"
#include "journal-export.h"
#include "journal.h"
#include "log.h"
#include "str.h"
#include "timespan.h"

#define FLUSH_USEC (200 * USEC_PER_MSEC) /* how long a line may wait for others */
#define TEXT_MAX (960 * 1024) /* even if it does not compress, the frame fits into a chunk */
#define HELD_MAX (16 * 1024 * 1024)
#define TIMEOUT_SEC 60U
#define OWN_MAX 4

typedef struct AttemptLog {
        Shipper *shipper; /* borrowed: frees its logs first */
        Attempt *attempt; /* borrowed: owns us through the shipper */
        /* owned */
        Channel *channel;
        ExecCall *sync;
        Journal *
                journal; /* of its own: what is left of an attempt that is gone; NULL: that of all */
        Buffer text;     /* entries that wait */
        Buffer frame;    /* compressed, on its way */
        Buffer path;     /* with the query that describes the frame */
        char *first_cursor;
        char *read_cursor; /* of the last entry that was read, NULL before the first */
        uint64_t read_monotonic_usec;
        uint64_t first_realtime_usec, last_realtime_usec;
        uint32_t entries;
        uint32_t stored;  /* sequence of the last stored chunk */
        bool catching_up; /* entries up to read_cursor come again, and are skipped */
        bool finishing;   /* no entry comes after those that journald has */
        bool synced;      /* journald has stored all of them */
        bool drained;     /* they have been read */
        bool waiting;     /* for its turn to read a journal of its own */
        bool complete;
} AttemptLog;

struct Shipper {
        /* owned */
        Journal *journal;
        sd_event_source *flush;
        /* borrowed: the composition root frees us first */
        sd_event *event;
        Link *link;
        ExecClient *exec;
        AttemptTable *attempts;
        shipper_complete_t on_complete;
        void *userdata;
        size_t held;  /* bytes in texts and frames */
        bool blocked; /* the journal has an entry that did not fit */
};

static void log_advance(AttemptLog *l);

static AttemptLog *log_of(const Attempt *a) {
        return a->log;
}

bool shipper_follows(const Attempt *a) {
        return a->log != NULL;
}

static void drop_text(AttemptLog *l) {
        l->shipper->held -= l->text.size;
        buffer_done(&l->text);
        l->entries = 0;
}

static void drop_frame(AttemptLog *l) {
        l->shipper->held -= l->frame.size;
        buffer_done(&l->frame);
        buffer_done(&l->path);
}

static int write_path(AttemptLog *l) {
        int r = buffer_printf(&l->path,
                              PROTO_PATH "/logs?attempt=%s&epoch=%" PRIu32 "&sequence=%" PRIu32
                                         "&entries=%" PRIu32,
                              l->attempt->text, l->attempt->epoch, l->stored + 1, l->entries);

        if (r >= 0)
                r = buffer_append_str(&l->path, "&first_cursor=");
        if (r >= 0)
                r = buffer_append_percent(&l->path, l->first_cursor);
        if (r >= 0)
                r = buffer_append_str(&l->path, "&last_cursor=");
        if (r >= 0)
                r = buffer_append_percent(&l->path, l->read_cursor);
        if (r >= 0)
                r = buffer_printf(&l->path,
                                  "&first_realtime_usec=%" PRIu64 "&last_realtime_usec=%" PRIu64
                                  "&last_monotonic_usec=%" PRIu64,
                                  l->first_realtime_usec, l->last_realtime_usec,
                                  l->read_monotonic_usec);
        return r;
}

static void flush_soon(Shipper *s) {
        int enabled = SD_EVENT_OFF;

        (void) sd_event_source_get_enabled(s->flush, &enabled);
        if (enabled != SD_EVENT_OFF)
                return;
        (void) sd_event_source_set_time_relative(s->flush, FLUSH_USEC);
        (void) sd_event_source_set_enabled(s->flush, SD_EVENT_ONESHOT);
}

/* Closes the text into a frame and sends it. Out of memory: the text stays, and the timer tries again. */
static void flush(AttemptLog *l) {
        int r;

        if (l->entries == 0 || l->frame.size > 0)
                return;
        r = write_path(l);
        if (r >= 0)
                r = chunk_compress(l->text.data, l->text.size, &l->frame);
        if (r < 0) {
                buffer_done(&l->path);
                buffer_done(&l->frame);
                (void) log_error(r, "Cannot make a chunk of the log of attempt %s",
                                 l->attempt->text);
                flush_soon(l->shipper);
                return;
        }
        l->shipper->held += l->frame.size;
        drop_text(l);
        channel_kick(l->channel);
}

/* Those that wait for their turn, as far as it comes. */
static void read_waiting(Shipper *s) {
        unsigned left = OWN_MAX;

        for (Attempt *a = attempt_first(s->attempts); a; a = attempt_next(a))
                if (a->log && log_of(a)->journal && journal_is_open(log_of(a)->journal))
                        left--;
        for (Attempt *a = attempt_first(s->attempts); a && left > 0; a = attempt_next(a)) {
                AttemptLog *l = log_of(a);

                if (!l || !l->waiting)
                        continue;
                if (journal_read_attempt(l->journal, a->id, l->read_cursor) < 0) {
                        flush_soon(s);
                        return;
                }
                l->waiting = false;
                left--;
                if (l->synced)
                        journal_look_again(l->journal);
        }
}

static int on_flush(sd_event_source *source, uint64_t usec, void *userdata) {
        Shipper *s = userdata;

        (void) source;
        (void) usec;
        for (Attempt *a = attempt_first(s->attempts); a; a = attempt_next(a))
                if (a->log)
                        flush(log_of(a));
        read_waiting(s);
        return 0;
}

static Journal *journal_of(const AttemptLog *l) {
        return l->journal ? l->journal : l->shipper->journal;
}

static void resume_all(Shipper *s) {
        s->blocked = false;
        journal_resume(s->journal);
        for (Attempt *a = attempt_first(s->attempts); a; a = attempt_next(a))
                if (a->log && log_of(a)->journal)
                        journal_resume(log_of(a)->journal);
}

/* Reads from the log's place on. Logs that are further see entries again and skip them. */
static void read_journal(AttemptLog *l) {
        Shipper *s = l->shipper;

        if (l->journal) {
                journal_close(l->journal);
                l->waiting = true;
                read_waiting(s);
                return;
        }
        if (!journal_read_from(s->journal, l->read_monotonic_usec))
                return;
        s->blocked = false;
        for (Attempt *a = attempt_first(s->attempts); a; a = attempt_next(a))
                if (a->log)
                        log_of(a)->catching_up = log_of(a)->read_cursor != NULL;
}

/* The next one has its turn. */
static void close_own(AttemptLog *l) {
        if (!l->journal)
                return;
        journal_close(l->journal);
        l->waiting = false;
        read_waiting(l->shipper);
}

static void complete(AttemptLog *l) {
        l->complete = true;
        close_own(l);
        l->attempt->log_sequence = l->stored;
        l->shipper->on_complete(l->attempt, l->shipper->userdata);
}

/* What follows from where the log is. */
static void log_advance(AttemptLog *l) {
        if (l->complete)
                return;
        if (l->drained)
                flush(l);
        else if (l->entries > 0)
                flush_soon(l->shipper);
        if (l->drained && l->entries == 0 && l->frame.size == 0)
                complete(l);
}

static void on_turn(Channel *c, void *userdata) {
        AttemptLog *l = userdata;

        if (l->frame.size > 0)
                (void) channel_send(c,
                                    &(ChannelRequest){ l->path.data, "application/zstd",
                                                       l->frame.data, l->frame.size, TIMEOUT_SEC });
}

/* The control plane has another idea of what is stored: its own counts. */
static int go_back(AttemptLog *l, const ChannelAnswer *answer) {
        ProtoLogged logged = {};
        int r = json_decode(answer->body, answer->size, proto_logged_fields, JSON_IGNORE_UNKNOWN,
                            &logged, NULL);

        if (r >= 0)
                r = str_replace(&l->read_cursor,
                                logged.cursor && *logged.cursor ? logged.cursor : NULL);
        if (r >= 0) {
                log_message(LOG_NOTICE, NULL, NULL,
                            "The log of attempt %s goes on after chunk %" PRIu32 ", not %" PRIu32
                            ".",
                            l->attempt->text, logged.sequence, l->stored);
                l->stored = logged.sequence;
                l->read_monotonic_usec = logged.monotonic_usec;
                l->catching_up = l->read_cursor != NULL;
                l->drained = false;
                drop_text(l);
                read_journal(l);
        }
        json_done(proto_logged_fields, &logged);
        return r;
}

static void on_answer(Channel *c, const ChannelAnswer *answer, void *userdata) {
        AttemptLog *l = userdata;
        Shipper *s = l->shipper;

        (void) c;
        drop_frame(l);
        if (!answer->problem) {
                l->stored++;
        } else if (!str_eq(answer->problem->slug, "log-out-of-sequence") ||
                   go_back(l, answer) < 0) {
                log_message(LOG_ERR, NULL, NULL,
                            "The control plane does not take the log of attempt %s: %s What is not "
                            "stored stays in this host's journal.",
                            l->attempt->text, answer->problem->detail);
                drop_text(l);
                complete(l);
        }
        if (s->blocked)
                resume_all(s);
        else if (l->finishing && !l->drained)
                journal_resume(journal_of(l));
        log_advance(l);
}

/* True when the entry was read before. */
static bool skip(AttemptLog *l, const JournalEntry *entry) {
        if (!l->catching_up)
                return false;
        if (entry->monotonic_usec < l->read_monotonic_usec)
                return true;
        if (entry->monotonic_usec == l->read_monotonic_usec) {
                l->catching_up = !journal_is_same(entry->cursor, l->read_cursor);
                return true;
        }
        l->catching_up = false;
        return false;
}

static int write_entry(AttemptLog *l, const JournalEntry *entry) {
        char number[24];
        Buffer *b = &l->text;
        int r = 0;

        if (l->entries == 0) {
                r = export_write_field(b, "__CURSOR", entry->cursor, strlen(entry->cursor));
                if (r >= 0)
                        r = str_replace(&l->first_cursor, entry->cursor);
                l->first_realtime_usec = entry->realtime_usec;
        }
        if (r >= 0)
                r = export_write_field(b, "__REALTIME_TIMESTAMP", number,
                                       (size_t) snprintf(number, sizeof(number), "%" PRIu64,
                                                         entry->realtime_usec));
        if (r >= 0)
                r = export_write_field(b, "__MONOTONIC_TIMESTAMP", number,
                                       (size_t) snprintf(number, sizeof(number), "%" PRIu64,
                                                         entry->monotonic_usec));
        if (r >= 0 && *entry->priority)
                r = export_write_field(b, "PRIORITY", entry->priority, strlen(entry->priority));
        if (r >= 0 && *entry->identifier)
                r = export_write_field(b, "SYSLOG_IDENTIFIER", entry->identifier,
                                       strlen(entry->identifier));
        if (r >= 0 && *entry->pid)
                r = export_write_field(b, "_PID", entry->pid, strlen(entry->pid));
        if (r >= 0 && entry->gap)
                r = export_write_field(b, "SLUICE_GAP", "1", 1);
        if (r >= 0 && entry->full_size > entry->size)
                r = export_write_field(
                        b, "SLUICE_TRUNCATED", number,
                        (size_t) snprintf(number, sizeof(number), "%zu", entry->full_size));
        if (r >= 0)
                r = export_write_field(b, "MESSAGE", entry->message, entry->size);
        return r < 0 ? r : export_write_end(b);
}

static JournalVerdict take_entry(AttemptLog *l, const JournalEntry *entry) {
        size_t before, need = entry->size + 2048;
        Shipper *s = l->shipper;
        int r;

        if (l->complete || skip(l, entry))
                return JOURNAL_TAKEN;
        if (l->text.size + need > TEXT_MAX)
                flush(l);
        if (l->text.size + need > TEXT_MAX || s->held + need > HELD_MAX) {
                s->blocked = true;
                flush_soon(s);
                return JOURNAL_FULL;
        }
        before = l->text.size;
        r = write_entry(l, entry);
        if (r >= 0)
                r = str_replace(&l->read_cursor, entry->cursor);
        if (r < 0) {
                l->text.size = before;
                s->blocked = true;
                flush_soon(s);
                return JOURNAL_FULL;
        }
        s->held += l->text.size - before;
        l->entries++;
        l->read_monotonic_usec = entry->monotonic_usec;
        l->last_realtime_usec = entry->realtime_usec;
        if (l->frame.size == 0)
                flush_soon(s);
        return JOURNAL_TAKEN;
}

/* Whether something may be missing of a log: not of what it has, nor before its beginning. */
static bool has_gap(const AttemptLog *l, const JournalEntry *gap) {
        uint64_t from = l->read_monotonic_usec ? l->read_monotonic_usec
                                               : l->attempt->unit_state.main_start_monotonic_usec;

        return !l->drained && from > 0 && gap->monotonic_usec > from;
}

/* Those that have taken it do not when it comes again. */
static JournalVerdict take_gap(Shipper *s, const JournalEntry *gap) {
        JournalVerdict verdict = JOURNAL_TAKEN;

        for (Attempt *a = attempt_first(s->attempts); a; a = attempt_next(a)) {
                AttemptLog *l = log_of(a);

                if (l && !l->journal && has_gap(l, gap) && take_entry(l, gap) == JOURNAL_FULL)
                        verdict = JOURNAL_FULL;
        }
        return verdict;
}

static JournalVerdict on_entry(const JournalEntry *entry, void *userdata) {
        Shipper *s = userdata;
        Attempt *a = attempt_find(s->attempts, entry->attempt);
        AttemptLog *l = a ? log_of(a) : NULL;

        if (!*entry->attempt)
                return take_gap(s, entry);
        return l && !l->journal ? take_entry(l, entry) : JOURNAL_TAKEN;
}

static JournalVerdict on_own_entry(const JournalEntry *entry, void *userdata) {
        AttemptLog *l = userdata;

        return !*entry->attempt || str_eq(entry->attempt, l->attempt->hex) ? take_entry(l, entry)
                                                                           : JOURNAL_TAKEN;
}

static void on_own_end(void *userdata) {
        AttemptLog *l = userdata;

        if (!l->synced || l->drained)
                return;
        l->drained = true;
        close_own(l);
        log_advance(l);
}

static void on_end(void *userdata) {
        Shipper *s = userdata;

        for (Attempt *a = attempt_first(s->attempts), *next; a; a = next) {
                AttemptLog *l = log_of(a);

                next = attempt_next(a);
                if (!l || l->journal || !l->synced || l->drained)
                        continue;
                l->drained = true;
                log_advance(l);
        }
}

static void on_synced(ExecVerdict verdict, const char *words, void *userdata) {
        AttemptLog *l = userdata;

        (void) words;
        l->sync = NULL;
        l->synced = verdict == EXEC_DONE; /* it is asked for until it works */
        journal_look_again(journal_of(l));
}

/* Once the end is known and the beginning too: journald may hold lines that it has not stored yet. */
static void finish(AttemptLog *l) {
        int r;

        if (l->sync || l->synced)
                return;
        r = exec_call_new(l->shipper->exec,
                          &(ExecRequest){ .method = "Sync", .done = on_synced, .userdata = l },
                          &l->sync);
        if (r < 0)
                (void) log_error(r, "Cannot ask for the end of the log of attempt %s",
                                 l->attempt->text);
}

void shipper_finish(Shipper *s, Attempt *a) {
        AttemptLog *l = log_of(a);

        (void) s;
        if (!l)
                return; /* shipper_follow() sees that it has ended */
        l->finishing = true;
        finish(l);
}

static AttemptLog *log_free(AttemptLog *l) {
        if (!l)
                return NULL;
        drop_text(l);
        drop_frame(l);
        (void) channel_free(l->channel);
        (void) exec_call_free(l->sync);
        (void) journal_free(l->journal);
        free(l->first_cursor);
        free(l->read_cursor);
        free(l);
        return NULL;
}
DEFINE_SCOPE_EXIT(AttemptLog, log_free)

static int log_new(Shipper *s, Attempt *a, uint32_t sequence, const char *cursor,
                   uint64_t monotonic_usec, AttemptLog **ret) {
        _cleanup_(log_freep) AttemptLog *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return -ENOMEM;
        l->shipper = s;
        l->attempt = a;
        l->stored = sequence;
        l->read_monotonic_usec = monotonic_usec;
        l->catching_up = cursor && *cursor;
        r = l->catching_up ? str_replace(&l->read_cursor, cursor) : 0;
        if (r >= 0)
                r = channel_new(s->link, "logs", on_turn, on_answer, l, &l->channel);
        if (r < 0)
                return r;
        channel_share(l->channel);
        *ret = TAKE_PTR(l);
        return 0;
}

int shipper_follow(Shipper *s, Attempt *a, uint32_t sequence, const char *cursor,
                   uint64_t monotonic_usec) {
        AttemptLog *l;
        int r = log_new(s, a, sequence, cursor, monotonic_usec, &l);

        if (r < 0)
                return r;
        a->log = l;
        read_journal(l);
        if (a->state == ATTEMPT_ENDED)
                shipper_finish(s, a);
        return 0;
}

int shipper_recover(Shipper *s, Attempt *a, uint32_t sequence, const char *cursor,
                    uint64_t monotonic_usec) {
        _cleanup_(log_freep) AttemptLog *l = NULL;
        int r = log_new(s, a, sequence, cursor, monotonic_usec, &l);

        if (r >= 0)
                r = journal_new(s->event, NULL, on_own_entry, on_own_end, l, &l->journal);
        if (r < 0)
                return r;
        a->log = TAKE_PTR(l);
        read_journal(a->log);
        shipper_finish(s, a);
        return 0;
}

void shipper_forget(Shipper *s, Attempt *a) {
        a->log = log_free(a->log);
        read_waiting(s);
}

int shipper_new(sd_event *event, Link *link, ExecClient *exec, AttemptTable *attempts,
                shipper_complete_t on_complete, void *userdata, Shipper **ret) {
        _cleanup_(shipper_freep) Shipper *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        *s = (Shipper){ .event = event,
                        .link = link,
                        .exec = exec,
                        .attempts = attempts,
                        .on_complete = on_complete,
                        .userdata = userdata };
        r = journal_new(event, NULL, on_entry, on_end, s, &s->journal);
        if (r >= 0)
                r = sd_event_add_time_relative(event, &s->flush, CLOCK_MONOTONIC, 0, PROMPT_USEC,
                                               on_flush, s);
        if (r >= 0)
                r = sd_event_source_set_enabled(s->flush, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

void shipper_rest(Shipper *s) {
        journal_close(s->journal);
}

Shipper *shipper_free(Shipper *s) {
        if (!s)
                return NULL;
        for (Attempt *a = attempt_first(s->attempts); a; a = attempt_next(a))
                a->log = log_free(a->log);
        (void) journal_free(s->journal);
        (void) sd_event_source_disable_unref(s->flush);
        free(s);
        return NULL;
}
