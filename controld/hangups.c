/* An epoll descriptor of their own inside the loop's: an event source for each would take more memory than is wanted. */
#include "hangups.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "fd.h"

#define BATCH 64

struct Hangups {
        /* owned */
        sd_event_source *io;
        int epoll_fd;
        void (*on_hangup)(void *item, void *userdata);
        void *userdata; /* borrowed: owns us */
};

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        struct epoll_event events[BATCH];
        Hangups *h = userdata;
        int n = epoll_wait(fd, events, BATCH, 0);

        (void) source;
        (void) revents;
        for (int i = 0; i < n; i++)
                h->on_hangup(events[i].data.ptr, h->userdata);
        return 0;
}

int hangups_new(sd_event *event, void (*on_hangup)(void *item, void *userdata), void *userdata,
                Hangups **ret) {
        Hangups *h = calloc(1, sizeof(*h));
        int r;

        if (!h)
                return -ENOMEM;
        h->on_hangup = on_hangup;
        h->userdata = userdata;
        h->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        r = h->epoll_fd < 0 ? -errno
                            : sd_event_add_io(event, &h->io, h->epoll_fd, EPOLLIN, on_io, h);
        if (r < 0) {
                (void) hangups_free(h);
                return r;
        }
        (void) sd_event_source_set_description(h->io, "hangups");
        *ret = h;
        return 0;
}

Hangups *hangups_free(Hangups *h) {
        if (!h)
                return NULL;
        h->io = sd_event_source_disable_unref(h->io);
        h->epoll_fd = fd_close(h->epoll_fd);
        free(h);
        return NULL;
}

int hangups_watch(Hangups *h, int fd, void *item) {
        struct epoll_event event = { .events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = item };

        return epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

void hangups_forget(Hangups *h, int fd) {
        (void) epoll_ctl(h->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}
