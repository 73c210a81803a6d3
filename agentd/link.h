/* The way to the control plane: one HTTPS client and one credential, and channels on it. A channel has at most one request
 * under way and repeats it, with growing delays, until there is an answer that means something; each time at the next of several
 * places, from the one that answered last. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

#include "cleanup.h"
#include "error.h"

typedef struct Link Link;
typedef struct Channel Channel;

/* urls: at least one, copied. ca_file must live longer. */
int link_new(sd_event *event, char *const *urls, const char *ca_file, Link **ret);
Link *link_free(Link *l); /* after its channels */
DEFINE_SCOPE_EXIT(Link, link_free)

/* What every request presents: the instance's credential, or the key to enrol with. Copied. */
int link_set_bearer(Link *l, const char *bearer);
/* The last exchange worked. */
bool link_is_up(const Link *l);

typedef struct ChannelRequest {
        const char *path;
        const char *content_type;
        const void *body; /* copied */
        size_t size;
        unsigned timeout_sec;
} ChannelRequest;

typedef struct ChannelAnswer {
        unsigned status; /* 2xx, or a refusal that a repeat would not change */
        const char *body;
        size_t size;
        const Error *problem; /* what a refusal says; NULL with 2xx */
        uint64_t sent_usec;   /* when it was asked, CLOCK_BOOTTIME */
} ChannelAnswer;

/* Time to send: builds the request and calls channel_send(), or does nothing when there is nothing to say any more. */
typedef void (*channel_turn_t)(Channel *c, void *userdata);
/* Once for each request that was answered. The channel is idle by then; it may be freed. */
typedef void (*channel_answer_t)(Channel *c, const ChannelAnswer *answer, void *userdata);

int channel_new(Link *l, const char *name, channel_turn_t on_turn, channel_answer_t on_answer,
                void *userdata, Channel **ret);
Channel *channel_free(Channel *c); /* cancels what is under way */
DEFINE_SCOPE_EXIT(Channel, channel_free)

/* It is one of many of its kind, of which LINK_SHARED_MAX ask at one time: each has a connection of its own. A request of another waits
 * until it has its turn again. It may not be freed in its turn. */
#define LINK_SHARED_MAX 4
void channel_share(Channel *c);

/* There may be something to say: gives a turn from the loop, unless a request is under way or a delay is not over. */
void channel_kick(Channel *c);
/* The same, not before usec from now. */
void channel_kick_later(Channel *c, uint64_t usec);
/* The same, at the latest usec from now: until then there may be more to say. */
void channel_kick_within(Channel *c, uint64_t usec);
/* 0 also when it has to wait, see channel_share(). */
int channel_send(Channel *c, const ChannelRequest *request);
bool channel_is_asking(const Channel *c); /* a request is under way */
