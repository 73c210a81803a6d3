/* Certificates by GnuTLS: ECDSA on P-256, ten years for the authority, two for the server. */
#include "tls-init.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "fileio.h"
#include "str.h"
#include "strv.h"

#define DAY 86400
#define CA_DAYS 3650
#define SERVER_DAYS 730

typedef struct Pair {
        gnutls_x509_crt_t certificate;
        gnutls_x509_privkey_t key;
} Pair;

static void pair_done(Pair *p) {
        if (p->certificate)
                gnutls_x509_crt_deinit(p->certificate);
        if (p->key)
                gnutls_x509_privkey_deinit(p->key);
}

static int common_fields(Pair *p, const char *name, unsigned days) {
        unsigned char serial[16];
        time_t now = time(NULL);
        int r = gnutls_x509_crt_init(&p->certificate);

        if (r >= 0)
                r = gnutls_x509_privkey_init(&p->key);
        if (r >= 0)
                r = gnutls_x509_privkey_generate(p->key, GNUTLS_PK_ECDSA,
                                                 GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1),
                                                 0);
        if (r >= 0)
                r = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial));
        serial[0] &= 0x7f;
        if (r >= 0)
                r = gnutls_x509_crt_set_serial(p->certificate, serial, sizeof(serial));
        if (r >= 0)
                r = gnutls_x509_crt_set_version(p->certificate, 3);
        if (r >= 0)
                r = gnutls_x509_crt_set_key(p->certificate, p->key);
        if (r >= 0)
                r = gnutls_x509_crt_set_dn_by_oid(p->certificate, GNUTLS_OID_X520_COMMON_NAME, 0,
                                                  name, (unsigned) strlen(name));
        /* An hour back: the clocks of a fleet differ. */
        if (r >= 0)
                r = gnutls_x509_crt_set_activation_time(p->certificate, now - 3600);
        if (r >= 0)
                r = gnutls_x509_crt_set_expiration_time(p->certificate, now + (time_t) days * DAY);
        return r;
}

static int set_key_id(Pair *p) {
        unsigned char id[64];
        size_t size = sizeof(id);
        int r = gnutls_x509_crt_get_key_id(p->certificate, GNUTLS_KEYID_USE_SHA1, id, &size);

        return r < 0 ? r : gnutls_x509_crt_set_subject_key_id(p->certificate, id, size);
}

static int make_ca(Pair *ca) {
        int r = common_fields(ca, "Sluice local CA", CA_DAYS);

        if (r >= 0)
                r = gnutls_x509_crt_set_basic_constraints(ca->certificate, 1, 0);
        if (r >= 0)
                r = gnutls_x509_crt_set_key_usage(ca->certificate,
                                                  GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN);
        if (r >= 0)
                r = set_key_id(ca);
        return r < 0 ? r
                     : gnutls_x509_crt_sign2(ca->certificate, ca->certificate, ca->key,
                                             GNUTLS_DIG_SHA256, 0);
}

static int add_host(gnutls_x509_crt_t certificate, const char *host) {
        unsigned char address[16];

        if (inet_pton(AF_INET, host, address) == 1)
                return gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS,
                                                            address, 4, GNUTLS_FSAN_APPEND);
        if (inet_pton(AF_INET6, host, address) == 1)
                return gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS,
                                                            address, 16, GNUTLS_FSAN_APPEND);
        return gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, host,
                                                    (unsigned) strlen(host), GNUTLS_FSAN_APPEND);
}

static int make_server(Pair *server, const Pair *ca, char *const *hosts) {
        static const char *const always[] = { "localhost", "127.0.0.1", "::1" };
        char name[256] = "localhost";
        int r;

        (void) gethostname(name, sizeof(name) - 1);
        r = common_fields(server, hosts ? hosts[0] : name, SERVER_DAYS);
        STRV_FOREACH(h, hosts)
                r = r < 0 ? r : add_host(server->certificate, *h);
        if (r >= 0 && !strv_contains(hosts, name))
                r = add_host(server->certificate, name);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(always); i++)
                if (!strv_contains(hosts, always[i]) && !str_eq(name, always[i]))
                        r = add_host(server->certificate, always[i]);
        if (r >= 0)
                r = gnutls_x509_crt_set_basic_constraints(server->certificate, 0, -1);
        if (r >= 0)
                r = gnutls_x509_crt_set_key_usage(server->certificate,
                                                  GNUTLS_KEY_DIGITAL_SIGNATURE);
        if (r >= 0)
                r = gnutls_x509_crt_set_key_purpose_oid(server->certificate,
                                                        GNUTLS_KP_TLS_WWW_SERVER, 0);
        if (r >= 0)
                r = set_key_id(server);
        return r < 0 ? r
                     : gnutls_x509_crt_sign2(server->certificate, ca->certificate, ca->key,
                                             GNUTLS_DIG_SHA256, 0);
}

static int write_datum(const char *directory, const char *name, mode_t mode, int r,
                       gnutls_datum_t *datum, Error *e) {
        _cleanup_(freep) char *path = str_format("%s/%s", directory, name);

        if (r < 0)
                return error_set(e, -EIO, "tls", "Cannot encode %s: %s.", name, gnutls_strerror(r));
        r = path ? file_write_atomic(path, (char *) datum->data, datum->size, mode) : -ENOMEM;
        explicit_bzero(datum->data, datum->size);
        gnutls_free(datum->data);
        return r < 0 ? error_set(e, r, "tls", "Cannot write %s: %s.", path ? path : name,
                                 strerror(-r))
                     : 0;
}

static int write_pair(const Pair *p, const char *directory, const char *certificate,
                      const char *key, Error *e) {
        gnutls_datum_t datum = {};
        int r = gnutls_x509_privkey_export2_pkcs8(p->key, GNUTLS_X509_FMT_PEM, NULL,
                                                  GNUTLS_PKCS_PLAIN, &datum);

        r = write_datum(directory, key, 0600, r, &datum, e);
        if (r < 0)
                return r;
        datum = (gnutls_datum_t){};
        r = gnutls_x509_crt_export2(p->certificate, GNUTLS_X509_FMT_PEM, &datum);
        return write_datum(directory, certificate, 0644, r, &datum, e);
}

int tls_init(const char *directory, char *const *hosts, bool force, Error *e) {
        _cleanup_(freep) char *present = str_format("%s/ca.pem", directory);
        _cleanup_(pair_done) Pair ca = {}, server = {};
        int r;

        if (!present)
                return -ENOMEM;
        if (!force && access(present, F_OK) == 0)
                return error_set(e, -EEXIST, "tls",
                                 "%s exists already; agents and clients trust it. --force makes a "
                                 "new authority.",
                                 present);
        if (mkdir(directory, 0755) < 0 && errno != EEXIST)
                return error_set(e, -errno, "tls", "Cannot make %s: %s.", directory,
                                 strerror(errno));
        r = make_ca(&ca);
        if (r >= 0)
                r = make_server(&server, &ca, hosts);
        if (r < 0)
                return error_set(e, -EIO, "tls", "Cannot make certificates: %s.",
                                 gnutls_strerror(r));
        r = write_pair(&server, directory, "server.pem", "server.key", e);
        return r < 0 ? r : write_pair(&ca, directory, "ca.pem", "ca.key", e);
}
