/* A Varlink client of one method: texts of JSON, each ended by a NUL byte, on a Unix socket. It never waits for journald. */
#include "journal-sync.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fd.h"
#include "str.h"
#include "timespan.h"

#define TIMEOUT_USEC (30 * USEC_PER_SEC)

static const char request_text[] =
        "{\"method\":\"io.systemd.Journal.Synchronize\",\"parameters\":{}}";

struct JournalSync {
        /* owned */
        sd_event_source *io;
        sd_event_source *timeout;
        sd_event_source *begin;
        int fd;
        Buffer answer;
        /* borrowed */
        sd_event *event;
        const char *path;
        journal_sync_done_t done;
        void *userdata;
        uint64_t round; /* under way, or the last one */
        bool busy;
        bool wanted; /* somebody waits for round + 1 */
};

static void sync_disconnect(JournalSync *s) {
        s->io = sd_event_source_disable_unref(s->io);
        s->fd = fd_close(s->fd);
        buffer_done(&s->answer);
}

static void sync_finish(JournalSync *s, int r) {
        (void) sd_event_source_set_enabled(s->timeout, SD_EVENT_OFF);
        if (r < 0)
                sync_disconnect(s);
        s->busy = false;
        if (s->wanted)
                (void) sd_event_source_set_enabled(s->begin, SD_EVENT_ONESHOT);
        s->done(s->round, r, s->userdata);
}

static int sync_on_readable(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        JournalSync *s = userdata;
        char data[512];
        ssize_t n;
        int r;

        (void) source;
        (void) revents;
        n = recv(fd, data, sizeof(data), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0 || buffer_append(&s->answer, data, (size_t) n) < 0 ||
            s->answer.size > sizeof(data)) {
                r = n < 0 ? -errno : -ECONNRESET;
                sync_disconnect(s);
                if (s->busy)
                        sync_finish(s, r);
                return 0;
        }
        if (s->answer.data[s->answer.size - 1] != '\0' || !s->busy)
                return 0;
        r = strstr(s->answer.data, "\"error\"") ? -EREMOTEIO : 0;
        s->answer.size = 0;
        sync_finish(s, r);
        return 0;
}

static int sync_connect(JournalSync *s) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int r;

        if (s->fd >= 0)
                return 0;
        if (strlen(s->path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        (void) strcpy(address.sun_path, s->path);
        s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (s->fd < 0)
                return -errno;
        if (connect(s->fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno; /* EAGAIN: its queue is full */
        r = sd_event_add_io(s->event, &s->io, s->fd, EPOLLIN, sync_on_readable, s);
        return r < 0 ? r : sd_event_source_set_description(s->io, "journal-sync");
}

/* The text fits into an empty socket buffer, and the buffer is empty: one request at a time. */
static int sync_send(JournalSync *s) {
        ssize_t n;
        int r = sync_connect(s);

        if (r < 0)
                return r;
        n = send(s->fd, request_text, sizeof(request_text), MSG_DONTWAIT | MSG_NOSIGNAL);
        return n == (ssize_t) sizeof(request_text) ? 0 : n < 0 ? -errno : -EIO;
}

static int sync_on_begin(sd_event_source *source, void *userdata) {
        JournalSync *s = userdata;
        int r;

        (void) source;
        if (s->busy || !s->wanted)
                return 0;
        s->wanted = false;
        s->busy = true;
        s->round++;
        r = sync_send(s);
        if (r < 0) { /* journald may have been restarted: its old connection is dead */
                sync_disconnect(s);
                r = sync_send(s);
        }
        if (r >= 0)
                r = sd_event_source_set_time_relative(s->timeout, TIMEOUT_USEC);
        if (r >= 0)
                r = sd_event_source_set_enabled(s->timeout, SD_EVENT_ONESHOT);
        if (r < 0)
                sync_finish(s, r);
        return 0;
}

static int sync_on_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        JournalSync *s = userdata;

        (void) source;
        (void) usec;
        sync_finish(s, -ETIMEDOUT);
        return 0;
}

int journal_sync_new(sd_event *event, const char *path, journal_sync_done_t done, void *userdata,
                     JournalSync **ret) {
        _cleanup_(journal_sync_freep) JournalSync *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        *s = (JournalSync){
                .fd = -EBADF, .event = event, .path = path, .done = done, .userdata = userdata
        };
        r = sd_event_add_time_relative(event, &s->timeout, CLOCK_MONOTONIC, TIMEOUT_USEC, 0,
                                       sync_on_timeout, s);
        if (r >= 0)
                r = sd_event_source_set_enabled(s->timeout, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_defer(event, &s->begin, sync_on_begin, s);
        if (r >= 0)
                r = sd_event_source_set_enabled(s->begin, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

JournalSync *journal_sync_free(JournalSync *s) {
        if (!s)
                return NULL;
        sync_disconnect(s);
        (void) sd_event_source_disable_unref(s->timeout);
        (void) sd_event_source_disable_unref(s->begin);
        free(s);
        return NULL;
}

int journal_sync_request(JournalSync *s, uint64_t *ret_round) {
        if (!s->wanted && !s->busy) {
                int r = sd_event_source_set_enabled(s->begin, SD_EVENT_ONESHOT);

                if (r < 0)
                        return r;
        }
        s->wanted = true;
        *ret_round = s->round + 1;
        return 0;
}
