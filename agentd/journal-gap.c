/* Where the journal of this boot begins after what was read last, files were removed before they were read: rotated away, vacuumed, or by
 * hand. Nobody can say what they held, or whether they held lines of ours at all; so there is an entry that says just that. A file that is
 * missing between others is not noticed. */
#include <errno.h>
#include <stdlib.h>
#include <systemd/sd-id128.h>

#include "journal-internal.h"
#include "str.h"

void journal_gap_look(Journal *j) {
        uint64_t oldest, newest;

        if (!j->attempt && journal_get_range(j, &oldest, &newest) && oldest > j->seen_usec)
                j->torn_usec = oldest;
}

void journal_gap_pass(Journal *j) {
        uint64_t oldest, newest;

        if (!j->attempt && journal_get_range(j, &oldest, &newest) && newest > j->seen_usec)
                j->seen_usec = newest;
}

/* The first entry that there is of this boot. */
static int read_beginning(Journal *j, JournalEntry *entry, char **cursor) {
        sd_journal *handle = NULL;
        sd_id128_t boot;
        int r = journal_open_files(j, &handle);

        if (r >= 0)
                r = journal_match_boot(handle);
        if (r >= 0)
                r = sd_journal_seek_head(handle);
        if (r >= 0)
                r = sd_journal_next(handle);
        if (r == 0)
                r = -ENODATA;
        if (r >= 0)
                r = sd_journal_get_realtime_usec(handle, &entry->realtime_usec);
        if (r >= 0)
                r = sd_journal_get_monotonic_usec(handle, &entry->monotonic_usec, &boot);
        if (r >= 0)
                r = sd_journal_get_cursor(handle, cursor);
        if (handle)
                sd_journal_close(handle);
        return r;
}

int journal_gap_give(Journal *j) {
        JournalEntry entry = { .gap = true, .priority = "4", .identifier = "agentd" };
        _cleanup_(freep) char *cursor = NULL;
        int r = read_beginning(j, &entry, &cursor);

        if (r < 0)
                return r;
        entry.cursor = cursor;
        entry.monotonic_usec--; /* so that the first entry itself is behind it */
        journal_set_message(&entry,
                            "The journal of this host begins here: lines from before may be gone.");
        return j->on_entry(&entry, j->userdata) == JOURNAL_FULL ? -EAGAIN : 0;
}

void journal_gap_end(Journal *j) {
        j->seen_usec = j->torn_usec;
        if (j->position_usec < j->torn_usec)
                j->position_usec = j->torn_usec;
        j->torn_usec = 0;
}
