/* What journald has stored is given, once and in order, also to who looked while it was being stored. The journal is a file of our own in which
 * the last entry can be half stored: counted in the header, and not yet linked to the data that are matched. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-id128.h>
#include <unistd.h>

#include "cleanup.h"
#include "fileio.h"
#include "journal-internal.h"
#include "str.h"
#include "timespan.h"
#include "../lib/tap.h"

#define REMOTE "/lib/systemd/systemd-journal-remote"
#define ATTEMPT "0123456789abcdef0123456789abcdef"
#define UNIT_FIELD "_SYSTEMD_UNIT=sluice-" ATTEMPT ".service"
#define KIND_FIELD "SLUICE_KIND=task"
/* Journal File Format, "Data objects": what precedes the payload, 8 bytes more in a compact file. */
#define DATA_HEADER 64
#define DATA_LINKS 40
#define ENTRIES 3

static char directory[] = "/tmp/sluice-test-journal-XXXXXX";
static char *path, *old_path, *boot_path, *export_path, *elsewhere, *next_path;
static bool of_another_boot; /* what is written, as the next */
static unsigned ahead_usec;  /* the clock that it has */
static uint8_t *map;
static size_t map_size;
static sd_event *event;

typedef struct Heard {
        char lines[256];    /* their messages, and "." for each end, with spaces */
        const char *refuse; /* this message is not taken */
} Heard;

static JournalVerdict on_entry(const JournalEntry *entry, void *userdata) {
        Heard *h = userdata;
        size_t used = strlen(h->lines);

        if (h->refuse && !entry->gap && entry->size == strlen(h->refuse) &&
            memcmp(entry->message, h->refuse, entry->size) == 0)
                return JOURNAL_FULL;
        if (entry->gap)
                (void) snprintf(h->lines + used, sizeof(h->lines) - used, "gap%" PRIu64 " ",
                                entry->monotonic_usec);
        else
                (void) snprintf(h->lines + used, sizeof(h->lines) - used, "%.*s ",
                                (int) entry->size, entry->message);
        return JOURNAL_TAKEN;
}

static void on_end(void *userdata) {
        Heard *h = userdata;
        size_t used = strlen(h->lines);

        (void) snprintf(h->lines + used, sizeof(h->lines) - used, ". ");
}

static bool write_entries(FILE *f, unsigned first) {
        char boot[SD_ID128_STRING_MAX];
        sd_id128_t id;

        if ((of_another_boot ? sd_id128_randomize(&id) : sd_id128_get_boot(&id)) < 0)
                return false;
        for (unsigned i = first; i < first + ENTRIES; i++)
                (void) fprintf(f,
                               "__REALTIME_TIMESTAMP=%u\n__MONOTONIC_TIMESTAMP=%u\n_BOOT_ID=%s\n"
                               "_TRANSPORT=stdout\n%s\n%s\nMESSAGE=line%u\n\n",
                               (of_another_boot ? 1000000 : 2000000) + ahead_usec + i, 1000 + i,
                               sd_id128_to_string(id, boot), UNIT_FIELD, KIND_FIELD, i);
        return true;
}

static bool make_journal(const char *to, unsigned first) {
        FILE *f = fopen(export_path, "we");
        bool good = f && write_entries(f, first);
        int status;
        pid_t pid;

        if (!f || fclose(f) < 0 || !good)
                return false;
        pid = fork();
        if (pid == 0) {
                (void) execl(REMOTE, REMOTE, "-o", to, export_path, NULL);
                _exit(127);
        }
        return pid > 0 && waitpid(pid, &status, 0) > 0 && status == 0;
}

/* NULL when it cannot be. */
static uint8_t *map_file(const char *file, size_t *ret_size) {
        int fd = open(file, O_RDWR | O_CLOEXEC);
        struct stat st;
        void *p = MAP_FAILED;

        if (fd >= 0 && fstat(fd, &st) >= 0) {
                *ret_size = (size_t) st.st_size;
                p = mmap(NULL, *ret_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        }
        if (fd >= 0)
                (void) close(fd);
        return p == MAP_FAILED ? NULL : p;
}

/* Its links to entries: the first, an array of more, and how many. */
static uint64_t *find_links(const char *field) {
        for (size_t header = DATA_HEADER; header <= DATA_HEADER + 8; header += 8)
                for (size_t o = 0; o + header + strlen(field) < map_size; o += 8) {
                        uint64_t size;

                        memcpy(&size, map + o + 8, sizeof(size));
                        if (map[o] == 1 && size == header + strlen(field) &&
                            memcmp(map + o + header, field, strlen(field)) == 0)
                                return (uint64_t *) (void *) (map + o + DATA_LINKS);
                }
        return NULL;
}

/* Only as many entries have been linked to the data so far. */
static void link_entries(const char *field, unsigned n) {
        static uint64_t whole[3];
        uint64_t *links = find_links(field);

        ok_true(links);
        if (!links)
                return;
        if (links[2] == ENTRIES)
                memcpy(whole, links, sizeof(whole));
        memcpy(links, n == 0 ? (uint64_t[3]){} : whole, sizeof(whole));
        links[2] = n;
}

/* As journald tells readers, after each entry or some: it sets the file to the size that it has. */
static void tell(void) {
        ok_int(truncate(path, (off_t) map_size), 0);
}

/* Until this was heard, or ten seconds. */
static const char *run_until(const Heard *h, const char *wanted) {
        uint64_t deadline = clock_usec(CLOCK_MONOTONIC) + 10 * USEC_PER_SEC;

        while (!str_eq(h->lines, wanted) && clock_usec(CLOCK_MONOTONIC) < deadline)
                if (sd_event_run(event, 100 * USEC_PER_MSEC) < 0)
                        break;
        return h->lines;
}

static void test_what_was_half_stored_is_given_when_it_is_whole(void) {
        _cleanup_(journal_freep) Journal *j = NULL;
        Heard h = {};

        link_entries(KIND_FIELD, 2);
        ok_int(journal_new(event, directory, on_entry, on_end, &h, &j), 0);
        ok_true(journal_read_from(j, 1000));
        ok_str(run_until(&h, "line0 line1 . "), "line0 line1 . ");
        link_entries(KIND_FIELD, ENTRIES);
        tell();
        ok_str(run_until(&h, "line0 line1 . line2 . "), "line0 line1 . line2 . ");
        tell();
        ok_str(run_until(&h, "line0 line1 . line2 . . "), "line0 line1 . line2 . . ");
}

static void test_journald_said_that_it_has_stored(void) {
        _cleanup_(journal_freep) Journal *j = NULL;
        Heard h = {};

        link_entries(KIND_FIELD, 0);
        ok_int(journal_new(event, directory, on_entry, on_end, &h, &j), 0);
        ok_true(journal_read_from(j, 1001));
        ok_str(run_until(&h, ". "), ". ");
        link_entries(KIND_FIELD, ENTRIES);
        journal_look_again(j);
        ok_str(run_until(&h, ". line1 line2 . "), ". line1 line2 . ");
}

static void test_one_attempt_from_an_entry_on(void) {
        _cleanup_(journal_freep) Journal *j = NULL;
        Heard h = {};

        link_entries(UNIT_FIELD, 2);
        ok_int(journal_new(event, directory, on_entry, on_end, &h, &j), 0);
        ok_int(journal_read_attempt(j, ATTEMPT, NULL), 0);
        ok_str(run_until(&h, "line0 line1 . "), "line0 line1 . ");
        link_entries(UNIT_FIELD, ENTRIES);
        journal_look_again(j);
        ok_str(run_until(&h, "line0 line1 . line2 . "), "line0 line1 . line2 . ");
}

/* What one link says is written before how many there are; in between libsystemd takes the data for damaged. */
static void test_an_entry_is_given_whole(void) {
        _cleanup_(journal_freep) Journal *j = NULL;
        uint64_t *links = find_links("MESSAGE=line1");
        Heard h = {};

        ok_true(links && links[2] == 1);
        if (!links)
                return;
        links[2] = 0;
        ok_int(journal_new(event, directory, on_entry, on_end, &h, &j), 0);
        ok_true(journal_read_from(j, 1000));
        ok_str(run_until(&h, "line0 "), "line0 ");
        ok_true(sd_event_run(event, 100 * USEC_PER_MSEC) >= 0);
        ok_str(h.lines, "line0 ");
        links[2] = 1;
        ok_str(run_until(&h, "line0 line1 line2 . "), "line0 line1 line2 . ");
}

static void test_one_that_stays_damaged_is_passed_over(void) {
        _cleanup_(journal_freep) Journal *j = NULL;
        uint64_t *links = find_links("MESSAGE=line1");
        Heard h = {};

        links[2] = 0;
        ok_int(journal_new(event, directory, on_entry, on_end, &h, &j), 0);
        ok_true(journal_read_from(j, 1000));
        ok_str(run_until(&h, "line0 gap1001 line2 . "), "line0 gap1001 line2 . ");
        links[2] = 1;
}

/* Anybody may write an entry that looks like a task's, but for its unit; nobody's line waits for it. */
static void test_what_somebody_else_wrote_is_not_waited_for(void) {
        _cleanup_(journal_freep) Journal *j = NULL;
        uint64_t *unit = find_links(UNIT_FIELD), *transport = find_links("_TRANSPORT=stdout");
        Heard h = {};

        ok_true(unit && transport);
        if (!unit || !transport)
                return;
        unit[2] = transport[2] = 0;
        ok_int(journal_new(event, directory, on_entry, on_end, &h, &j), 0);
        ok_true(journal_read_from(j, 1000));
        ok_true(sd_event_run(event, 0) >= 0); /* one turn */
        ok_str(h.lines, ". ");
        unit[2] = transport[2] = ENTRIES;
}

/* libsystemd leaves a file out when something in it looks damaged, and says nothing of it. */
static void test_a_file_that_looked_damaged_for_a_moment(void) {
        _cleanup_(journal_freep) Journal *j = NULL;
        uint64_t *links = find_links(KIND_FIELD);
        Heard h = {};

        ok_true(links && links[2] == ENTRIES);
        if (!links)
                return;
        links[2] = 0;
        ok_int(journal_new(event, directory, on_entry, on_end, &h, &j), 0);
        ok_true(journal_read_from(j, 1000));
        ok_true(sd_event_run(event, 100 * USEC_PER_MSEC) >= 0);
        ok_str(h.lines, "");
        links[2] = ENTRIES;
        ok_str(run_until(&h, "line0 line1 line2 . "), "line0 line1 line2 . ");
}

static void test_a_file_that_stays_damaged_is_left_out(void) {
        _cleanup_(journal_freep) Journal *j = NULL;
        uint64_t *links = find_links(KIND_FIELD);
        Heard h = {};

        links[2] = 0;
        ok_int(journal_new(event, directory, on_entry, on_end, &h, &j), 0);
        ok_true(journal_read_from(j, 1000));
        ok_str(run_until(&h, ". "), ". ");
        links[2] = ENTRIES;
}

static void test_what_is_not_taken_comes_again(void) {
        _cleanup_(journal_freep) Journal *j = NULL;
        Heard h = { .refuse = "line1" };

        ok_int(journal_new(event, directory, on_entry, on_end, &h, &j), 0);
        ok_true(journal_read_from(j, 1000));
        ok_str(run_until(&h, "line0 "), "line0 ");
        journal_look_again(j);
        ok_true(sd_event_run(event, 100 * USEC_PER_MSEC) >= 0);
        ok_str(h.lines, "line0 ");
        h.refuse = NULL;
        journal_resume(j);
        ok_str(run_until(&h, "line0 line1 line2 . "), "line0 line1 line2 . ");
}

/* What is written through a mapping inotify does not tell of. */
static void test_a_file_that_was_looked_into_as_it_began(void) {
        _cleanup_(journal_freep) Journal *j = NULL;
        size_t size = 0, same = 0;
        uint8_t *next, *file;
        Heard h = {};

        ok_true(make_journal(next_path, ENTRIES));
        next = map_file(next_path, &size);
        ok_int(journal_new(event, directory, on_entry, on_end, &h, &j), 0);
        ok_true(journal_read_from(j, 1000));
        ok_str(run_until(&h, "line0 line1 line2 . "), "line0 line1 line2 . ");
        ok_int(rename(path, old_path), 0);
        ok_true(fclose(fopen(path, "we")) == 0 && truncate(path, (off_t) size) == 0);
        ok_str(run_until(&h, "line0 line1 line2 . . "), "line0 line1 line2 . . ");
        file = map_file(path, &same);
        ok_true(next && file && same == size);
        if (!next || !file)
                return;
        memcpy(file, next, size);
        journal_look_again(j);
        ok_str(run_until(&h, "line0 line1 line2 . . line3 line4 line5 . "),
               "line0 line1 line2 . . line3 line4 line5 . ");
        (void) munmap(next, size);
        (void) munmap(file, size);
}

static void test_a_journal_that_could_not_be_opened_is_tried_again(void) {
        _cleanup_(journal_freep) Journal *j = NULL;
        const char *all = "line0 line1 line2 line3 line4 line5 . ";
        struct rlimit before, none;
        Heard h = {};

        ok_int(journal_new(event, directory, on_entry, on_end, &h, &j), 0);
        ok_true(journal_read_from(j, 1000));
        ok_str(run_until(&h, all), all);
        ok_int(unlink(old_path), 0);
        ok_int(getrlimit(RLIMIT_NOFILE, &before), 0);
        none = (struct rlimit){ .rlim_max = before.rlim_max };
        ok_int(setrlimit(RLIMIT_NOFILE, &none), 0);
        while (!j->failing && sd_event_run(event, 10 * USEC_PER_SEC) > 0)
                ;
        ok_true(j->failing);
        ok_str(h.lines, all);
        ok_int(setrlimit(RLIMIT_NOFILE, &before), 0);
        h.lines[0] = '\0';
        ok_str(run_until(&h, ". "), ". ");
}

/* What is asked for meanwhile changes nothing of where it begins. */
static void test_a_journal_that_cannot_be_opened_yet_is_read_later(void) {
        _cleanup_(journal_freep) Journal *j = NULL;
        struct rlimit before, none;
        Heard h = {};

        ok_int(journal_new(event, directory, on_entry, on_end, &h, &j), 0);
        ok_int(getrlimit(RLIMIT_NOFILE, &before), 0);
        none = (struct rlimit){ .rlim_max = before.rlim_max };
        ok_int(setrlimit(RLIMIT_NOFILE, &none), 0);
        ok_true(journal_read_from(j, 1001));
        ok_true(!journal_read_from(j, 1002));
        while (!j->failing && sd_event_run(event, 10 * USEC_PER_SEC) > 0)
                ;
        ok_true(j->failing);
        ok_true(!journal_read_from(j, 1002));
        ok_int(setrlimit(RLIMIT_NOFILE, &before), 0);
        ok_str(run_until(&h, "line1 line2 . "), "line1 line2 . ");
        ok_true(!j->failing);
}

/* The control plane has given it. */
static void test_a_cursor_that_is_none_is_the_beginning(void) {
        _cleanup_(journal_freep) Journal *j = NULL;
        Heard h = {};

        ok_int(journal_new(event, directory, on_entry, on_end, &h, &j), 0);
        ok_int(journal_read_attempt(j, ATTEMPT, "none"), 0);
        ok_str(run_until(&h, "line0 line1 line2 . "), "line0 line1 line2 . ");
}

/* Files of earlier boots come first where the boot is not asked for. */
static void test_only_this_boot_is_read(void) {
        _cleanup_(journal_freep) Journal *j = NULL;
        const char *all = "gap1002 line3 line4 line5 . ";
        Heard h = {};

        of_another_boot = true;
        ok_true(make_journal(boot_path, 0));
        of_another_boot = false;
        ok_int(journal_new(event, directory, on_entry, on_end, &h, &j), 0);
        ok_true(journal_read_from(j, 1000));
        ok_str(run_until(&h, all), all);
}

/* What was stored before that is newer than all that follows, by the clock. */
static void test_files_are_removed_after_the_clock_was_set_back(void) {
        _cleanup_(journal_freep) Journal *j = NULL;
        const char *all = "line3 line4 line5 . gap1005 line6 line7 line8 . ";
        Heard h = {};

        (void) unlink(boot_path);
        (void) unlink(next_path);
        ahead_usec = 9000000;
        of_another_boot = true;
        ok_true(make_journal(boot_path, 0));
        of_another_boot = false;
        ahead_usec = 0;
        ok_true(make_journal(next_path, 2 * ENTRIES));
        ok_int(journal_new(event, directory, on_entry, on_end, &h, &j), 0);
        ok_true(journal_read_from(j, 1000 + ENTRIES));
        ok_str(run_until(&h, "line3 line4 line5 . "), "line3 line4 line5 . ");
        ok_int(unlink(boot_path), 0);
        ok_int(unlink(path), 0);
        ok_int(rename(next_path, path), 0);
        ok_str(run_until(&h, all), all);
}

static void test_a_journal_that_begins_later_has_a_gap(void) {
        _cleanup_(journal_freep) Journal *j = NULL;
        const char *all = "gap1002 line3 line4 line5 . ";
        Heard h = {};

        ok_int(journal_new(event, directory, on_entry, on_end, &h, &j), 0);
        ok_true(journal_read_from(j, 1000));
        ok_str(run_until(&h, all), all);
}

static void test_an_entry_is_known_in_another_file(void) {
        const char *cursor = "s=aa;i=10;b=bb;m=5;t=6;x=7";

        ok_true(journal_is_same(cursor, cursor));
        ok_true(journal_is_same(cursor, "s=cc;i=2;b=bb;m=5;t=6;x=7"));
        ok_true(!journal_is_same(cursor, "s=cc;i=10;b=bb;m=5;t=6;x=8"));
        ok_true(!journal_is_same(cursor,
                                 "s=aa;i=11;b=bb;m=5;t=6;x=7")); /* the same line once more */
        ok_true(!journal_is_same(cursor, "s=aa;i=1"));
        ok_true(!journal_is_same("", cursor));
}

static bool set_up(void) {
        return mkdtemp(directory) && asprintf(&path, "%s/system.journal", directory) > 0 &&
               asprintf(&old_path, "%s/system@1.journal", directory) > 0 &&
               asprintf(&boot_path, "%s/system@0.journal", directory) > 0 &&
               asprintf(&export_path, "%s/entries", directory) > 0 &&
               asprintf(&elsewhere, "%s/elsewhere", directory) > 0 &&
               asprintf(&next_path, "%s/next.journal", elsewhere) > 0 &&
               mkdir(elsewhere, 0700) >= 0 && make_journal(path, 0) &&
               (map = map_file(path, &map_size)) != NULL;
}

static void tear_down(void) {
        char *files[] = { path, old_path, boot_path, export_path, next_path };

        (void) munmap(map, map_size);
        for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
                (void) unlink(files[i]);
                free(files[i]);
        }
        (void) rmdir(elsewhere);
        (void) rmdir(directory);
        free(elsewhere);
}

int main(void) {
        (void) alarm(60);
        if (!set_up()) {
                printf("Bail out! There is no " REMOTE ", or it writes no journal.\n");
                return 1;
        }
        ok_true(sd_event_new(&event) >= 0);
        RUN(test_what_was_half_stored_is_given_when_it_is_whole);
        RUN(test_journald_said_that_it_has_stored);
        RUN(test_one_attempt_from_an_entry_on);
        RUN(test_a_journal_that_cannot_be_opened_yet_is_read_later);
        RUN(test_a_cursor_that_is_none_is_the_beginning);
        RUN(test_an_entry_is_given_whole);
        RUN(test_one_that_stays_damaged_is_passed_over);
        RUN(test_what_somebody_else_wrote_is_not_waited_for);
        RUN(test_a_file_that_looked_damaged_for_a_moment);
        RUN(test_a_file_that_stays_damaged_is_left_out);
        RUN(test_what_is_not_taken_comes_again);
        RUN(test_a_file_that_was_looked_into_as_it_began);
        RUN(test_a_journal_that_could_not_be_opened_is_tried_again);
        RUN(test_a_journal_that_begins_later_has_a_gap);
        RUN(test_only_this_boot_is_read);
        RUN(test_files_are_removed_after_the_clock_was_set_back);
        RUN(test_an_entry_is_known_in_another_file);
        event = sd_event_unref(event);
        tear_down();
        return tap_done();
}
