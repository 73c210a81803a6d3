/* Instead of notifications, where no session can LISTEN: asks the database every so often who has something to do. */
#pragma once

#include <stdint.h>
#include <systemd/sd-event.h>

#include "pg.h"

typedef struct News News;

extern const Statement statement_news;

/* on_notify as that of pg_listener_new(). "run" is whoever waits for any run. */
int news_new(sd_event *event, Pg *pg, uint64_t interval_usec,
             void (*on_notify)(const char *payload, void *userdata), void *userdata, News **ret);
News *news_free(News *n);
