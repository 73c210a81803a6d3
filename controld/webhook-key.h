/* The key that the secrets of webhooks are derived from: a file, the same on every host of the control plane. */
#pragma once

#include "error.h"
#include "webhook.h"

typedef struct WebhookKey {
        char *text; /* owned; NULL: there is none */
        char id[WEBHOOK_KEY_ID_SIZE];
} WebhookKey;

/* Writes a random one, unless the file is there. */
int webhook_key_make(const char *path, Error *e);
/* A bad file leaves *k alone. */
int webhook_key_load(const char *path, WebhookKey *k, Error *e);
void webhook_key_done(WebhookKey *k);
