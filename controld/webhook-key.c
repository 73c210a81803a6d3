#include "webhook-key.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "fileio.h"
#include "id.h"

#define KEY_MAX 4096

int webhook_key_make(const char *path, Error *e) {
        char text[SECRET_TEXT_MAX];
        int r;

        if (access(path, F_OK) == 0)
                return 0;
        r = secret_generate("", text);
        if (r >= 0)
                r = file_write_atomic(path, text, strlen(text), 0600);
        explicit_bzero(text, sizeof(text));
        return r < 0 ? error_set(e, r, "no-webhook-key", "Cannot write WebhookKeyFile=%s: %s.",
                                 path, strerror(-r))
                     : 0;
}

int webhook_key_load(const char *path, WebhookKey *k, Error *e) {
        _cleanup_(webhook_key_done) WebhookKey fresh = {};
        int r = file_read_secret(path, KEY_MAX, &fresh.text);

        if (r == -EPERM)
                return error_set(e, r, "no-webhook-key",
                                 "WebhookKeyFile=%s may be read by everybody: chmod 0600 it.",
                                 path);
        if (r < 0)
                return error_set(e, r, "no-webhook-key", "Cannot read WebhookKeyFile=%s: %s.", path,
                                 strerror(-r));
        if (strlen(fresh.text) < WEBHOOK_KEY_MIN)
                return error_set(e, -EINVAL, "no-webhook-key",
                                 "WebhookKeyFile=%s has fewer than %d characters.", path,
                                 WEBHOOK_KEY_MIN);
        r = webhook_key_id(fresh.text, fresh.id);
        if (r < 0)
                return r;
        webhook_key_done(k);
        *k = fresh;
        fresh = (WebhookKey){};
        return 0;
}

void webhook_key_done(WebhookKey *k) {
        if (k->text)
                explicit_bzero(k->text, strlen(k->text));
        free(k->text);
        k->text = NULL;
}
