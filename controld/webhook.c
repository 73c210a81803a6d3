#include "webhook.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "parse.h"
#include "str.h"
#include "strv.h"

#define HASH_SIZE 32
#define PREFIX "whsec_"
#define MESSAGE_ID_MAX 255
#define SIGNATURES_MAX 8 /* more than one while a sender changes its secret */

static int hmac(const void *key, size_t key_size, const char *text, size_t size,
                unsigned char ret[HASH_SIZE]) {
        return gnutls_hmac_fast(GNUTLS_MAC_SHA256, key, key_size, text, size, ret) < 0 ? -EIO : 0;
}

static int derive(const char *key, const char *what, unsigned char ret[HASH_SIZE]) {
        _cleanup_(freep) char *text = str_format("sluice webhook %s", what);

        return text ? hmac(key, strlen(key), text, strlen(text), ret) : -ENOMEM;
}

/* Base64 of RFC 4648 with its padding; text has room for it and a NUL. */
static int encode(const unsigned char *data, size_t size, char *text, size_t text_size) {
        gnutls_datum_t in = { (unsigned char *) (uintptr_t) data, (unsigned) size }, out = {};
        int r = gnutls_base64_encode2(&in, &out);

        if (r < 0)
                return -EIO;
        r = out.size < text_size ? 0 : -EIO;
        if (r >= 0)
                (void) snprintf(text, text_size, "%.*s", (int) out.size, (const char *) out.data);
        gnutls_free(out.data);
        return r;
}

int webhook_secret(const char *key, const char *id, char secret[WEBHOOK_SECRET_SIZE]) {
        unsigned char hash[HASH_SIZE];
        int r = derive(key, id, hash);

        (void) strcpy(secret, PREFIX);
        return r < 0 ? r
                     : encode(hash, sizeof(hash), secret + strlen(PREFIX),
                              WEBHOOK_SECRET_SIZE - strlen(PREFIX));
}

int webhook_key_id(const char *key, char id[WEBHOOK_KEY_ID_SIZE]) {
        unsigned char hash[HASH_SIZE];
        int r = derive(key, "key", hash);

        for (size_t i = 0; r >= 0 && i < (WEBHOOK_KEY_ID_SIZE - 1) / 2; i++)
                (void) snprintf(id + 2 * i, 3, "%02x", hash[i]);
        return r;
}

static bool is_same(const char *a, const char *b) {
        size_t n = strlen(a);

        return n == strlen(b) && gnutls_memcmp(a, b, n) == 0;
}

static int refuse(Error *e) {
        return error_set(e, -EACCES, "bad-signature",
                         "The signature is not the one that this webhook's secret makes for this "
                         "message.");
}

/* What others have to do with it: it is kept, and shown. */
static int check_name(const char *name, const char *header, Error *e) {
        size_t n = name ? strlen(name) : 0;

        for (size_t i = 0; i < n; i++)
                if (name[i] <= ' ' || name[i] > '~')
                        n = 0;
        return n > 0 && n <= MESSAGE_ID_MAX
                       ? 0
                       : error_set(e, -EINVAL, "bad-message-id",
                                   "Header %s: 1 to %d printable characters are expected.", header,
                                   MESSAGE_ID_MAX);
}

/* The signature of "ID.TIMESTAMP.BODY", keyed with what the Base64 behind whsec_ says. */
static int standard_signature(const char *secret, const WebhookMessage *m, char text[64]) {
        const char *encoded = str_after(secret, PREFIX);
        gnutls_datum_t in = { (unsigned char *) (uintptr_t) encoded, (unsigned) strlen(encoded) };
        gnutls_datum_t key = {};
        unsigned char hash[HASH_SIZE];
        Buffer signed_text = {};
        int r = gnutls_base64_decode2(&in, &key) < 0 ? -EIO : 0;

        if (r >= 0)
                r = buffer_printf(&signed_text, "%s.%s.", m->id, m->timestamp);
        if (r >= 0)
                r = buffer_append(&signed_text, m->body, m->size);
        if (r >= 0)
                r = hmac(key.data, key.size, signed_text.data, signed_text.size, hash);
        if (r >= 0)
                r = encode(hash, sizeof(hash), text, 64);
        buffer_done(&signed_text);
        gnutls_free(key.data);
        return r;
}

static int verify_standard(const char *secret, const WebhookMessage *m, WebhookVerdict *ret,
                           Error *e) {
        _cleanup_(strv_freep) char **signatures = NULL;
        char right[64];
        uint64_t sent;
        bool good = false;
        int r = check_name(m->id, "webhook-id", e);

        if (r < 0)
                return r;
        if (!m->timestamp || parse_u64_range(m->timestamp, 0, INT32_MAX * 4ULL, &sent) < 0)
                return error_set(e, -EINVAL, "bad-timestamp",
                                 "Header webhook-timestamp: seconds since 1970 are expected.");
        r = standard_signature(secret, m, right);
        if (r >= 0)
                r = strv_split(m->signature, " ", &signatures);
        if (r < 0)
                return r;
        for (size_t i = 0; signatures[i] && i < SIGNATURES_MAX; i++) {
                const char *signature = str_after(signatures[i], "v1,");

                good |= signature && is_same(signature, right);
        }
        *ret = (WebhookVerdict){ "standard", m->id, m->timestamp };
        return good ? 0 : refuse(e);
}

static int verify_github(const char *secret, const WebhookMessage *m, WebhookVerdict *ret,
                         Error *e) {
        unsigned char hash[HASH_SIZE];
        char right[sizeof("sha256=") + 2 * sizeof(hash)] = "sha256=";
        int r = check_name(m->github_delivery, "X-GitHub-Delivery", e);

        if (r >= 0)
                r = hmac(secret, strlen(secret), m->body, m->size, hash);
        if (r < 0)
                return r;
        for (size_t i = 0; i < sizeof(hash); i++)
                (void) snprintf(right + strlen("sha256=") + 2 * i, 3, "%02x", hash[i]);
        *ret = (WebhookVerdict){ "github", m->github_delivery, NULL };
        return is_same(m->github_signature, right) ? 0 : refuse(e);
}

int webhook_verify(const char *secret, const WebhookMessage *m, WebhookVerdict *ret, Error *e) {
        if (m->signature)
                return verify_standard(secret, m, ret, e);
        if (m->github_signature)
                return verify_github(secret, m, ret, e);
        return error_set(e, -EACCES, "bad-signature",
                         "The message is not signed: webhook-signature (Standard Webhooks) or "
                         "X-Hub-Signature-256 (GitHub) is expected.");
}
