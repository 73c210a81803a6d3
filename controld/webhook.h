/* Signatures of messages to webhooks, and the secrets that they are made with. No I/O.
 *
 * A secret is derived from controld's own key (WebhookKeyFile=) and the webhook's id, so the database knows none of them.
 * Signatures: https://www.standardwebhooks.com ("standard"), and what GitHub, Gitea and Forgejo send ("github"). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define WEBHOOK_KEY_MIN 32     /* characters */
#define WEBHOOK_SECRET_SIZE 51 /* "whsec_", 44 characters of Base64, the final NUL */
#define WEBHOOK_KEY_ID_SIZE 17

/* What a request says, each NULL when it does not. */
typedef struct WebhookMessage {
        const char *body;
        size_t size;
        const char *id, *timestamp,
                *signature; /* webhook-id, webhook-timestamp, webhook-signature */
        const char *github_delivery, *github_signature; /* X-GitHub-Delivery, X-Hub-Signature-256 */
} WebhookMessage;

typedef struct WebhookVerdict {
        const char *scheme;    /* "standard", "github" */
        const char *message;   /* borrowed from the message: its sender's name for it */
        const char *timestamp; /* borrowed: seconds of the Unix clock; NULL when none is signed */
} WebhookVerdict;

/* -EIO. id: the webhook's, as lower-case text. */
int webhook_secret(const char *key, const char *id, char secret[WEBHOOK_SECRET_SIZE]);
/* Tells keys apart, and says nothing about this one. -EIO. */
int webhook_key_id(const char *key, char id[WEBHOOK_KEY_ID_SIZE]);

/* -EACCES with words when the signature is missing or wrong; -EINVAL when a part of it is malformed. */
int webhook_verify(const char *secret, const WebhookMessage *m, WebhookVerdict *ret, Error *e);
