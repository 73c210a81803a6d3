/* Peers that go away while their request is held. libmicrohttpd does not look at a suspended connection, so that a dead one would
 * keep its memory, its place among the waiting and its share of the connections until the wait is over. */
#pragma once

#include <systemd/sd-event.h>

typedef struct Hangups Hangups;

/* on_hangup is called once for an item, from the loop, and may not free it or another one at once. */
int hangups_new(sd_event *event, void (*on_hangup)(void *item, void *userdata), void *userdata,
                Hangups **ret);
Hangups *hangups_free(Hangups *h);

int hangups_watch(Hangups *h, int fd, void *item);
void hangups_forget(Hangups *h, int fd); /* also of one that was told of */
