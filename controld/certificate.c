/* Certificate and key by GnuTLS. Called at start and on a timer: two stat() calls unless something changed. */
#include "certificate.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "cleanup.h"
#include "fileio.h"

#define PEM_MAX (256 * 1024)

static int changed_at(const char *path, struct timespec *ret, Error *e) {
        struct stat st;

        if (stat(path, &st) < 0)
                return error_set(e, -errno, "no-certificate",
                                 "Cannot read %s: %s. Make one with \"controld tls init\", or set "
                                 "CertificateFile= and PrivateKeyFile=.",
                                 path, strerror(errno));
        *ret = st.st_ctim; /* also when it may be read now */
        return 0;
}

static int read_pem(const char *path, char **ret, gnutls_datum_t *ret_datum, Error *e) {
        size_t size;
        int r = file_read(path, PEM_MAX, ret, &size);

        if (r < 0)
                return error_set(e, r, "no-certificate", "Cannot read %s: %s.", path, strerror(-r));
        *ret_datum = (gnutls_datum_t){ (unsigned char *) *ret, (unsigned) size };
        return 0;
}

/* The key must be the certificate's: a pair that does not match would fail every handshake. */
static int check_pair(const Certificate *c) {
        static const gnutls_datum_t probe = { (unsigned char *) "sluice", 6 };
        gnutls_datum_t signature = {};
        gnutls_sign_algorithm_t algorithm;
        int r;

        algorithm =
                gnutls_pk_to_sign(gnutls_privkey_get_pk_algorithm(c->key, NULL), GNUTLS_DIG_SHA256);
        r = gnutls_privkey_sign_data2(c->key, algorithm, 0, &probe, &signature);
        if (r >= 0)
                r = gnutls_pubkey_verify_data2(c->chain[0].pubkey, algorithm, 0, &probe,
                                               &signature);
        gnutls_free(signature.data);
        return r;
}

static int parse(Certificate *c, const gnutls_datum_t *certificate, const gnutls_datum_t *key) {
        int r;

        c->length = CERTIFICATE_CHAIN_MAX;
        r = gnutls_pcert_list_import_x509_raw(c->chain, &c->length, certificate,
                                              GNUTLS_X509_FMT_PEM, 0);
        if (r < 0) {
                c->length = 0;
                return r;
        }
        r = gnutls_privkey_init(&c->key);
        if (r >= 0)
                r = gnutls_privkey_import_x509_raw(c->key, key, GNUTLS_X509_FMT_PEM, NULL, 0);
        return r < 0 ? r : check_pair(c);
}

int certificate_load(Certificate *c, const char *certificate_file, const char *key_file, bool force,
                     Error *e) {
        _cleanup_(freep) char *certificate_pem = NULL, *key_pem = NULL;
        gnutls_datum_t certificate, key;
        Certificate fresh = {};
        int r;

        r = changed_at(certificate_file, &fresh.changed[0], e);
        if (r >= 0)
                r = changed_at(key_file, &fresh.changed[1], e);
        if (r < 0)
                return r;
        if (!force && c->length > 0 &&
            memcmp(fresh.changed, c->changed, sizeof(fresh.changed)) == 0)
                return 0;
        /* Also when it turns out to be broken: it is complained about once, not at every look. */
        (void) memcpy(c->changed, fresh.changed, sizeof(fresh.changed));

        r = read_pem(certificate_file, &certificate_pem, &certificate, e);
        if (r >= 0)
                r = read_pem(key_file, &key_pem, &key, e);
        if (r < 0)
                return r;
        r = parse(&fresh, &certificate, &key);
        explicit_bzero(key_pem, strlen(key_pem));
        if (r < 0) {
                certificate_done(&fresh);
                return error_set(e, -EBADMSG, "bad-certificate",
                                 "%s and %s do not make a certificate with its key: %s.",
                                 certificate_file, key_file, gnutls_strerror(r));
        }
        certificate_done(c);
        *c = fresh;
        return 1;
}

void certificate_done(Certificate *c) {
        for (unsigned i = 0; i < c->length; i++)
                gnutls_pcert_deinit(&c->chain[i]);
        if (c->key)
                gnutls_privkey_deinit(c->key);
        *c = (Certificate){};
}
