/* One worker process: HTTP, database, waiters on one loop. Shares nothing with other workers but the listening socket and
 * PostgreSQL. */
#pragma once

#include <stdbool.h>

#include "batch.h"
#include "id.h"
#include "pg.h"
#include "settings.h"
#include "wait.h"
#include "webhook-key.h"

typedef struct Worker Worker;

/* Serves until SIGTERM. status_fd: the supervisor reads "ready" and heartbeats there. */
int worker_run(const Settings *settings, int listen_fd, int status_fd, unsigned index);

Pg *worker_pg(Worker *w);
Waits *worker_waits(Worker *w);
Batches *worker_batches(Worker *w);
/* Its text is NULL when there is none. */
const WebhookKey *worker_webhook_key(const Worker *w);
bool worker_is_stopping(const Worker *w);
/* CLOCK_MONOTONIC: since when there is no database; 0: there is one. */
uint64_t worker_database_lost_usec(const Worker *w);

/* The instance was heard of now; told to the database with the next batch. */
void worker_saw_instance(Worker *w, const char *instance);
