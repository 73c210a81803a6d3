/* The server certificate: read from files, read again when they change, never replaced by a broken one. */
#pragma once

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "error.h"

#define CERTIFICATE_CHAIN_MAX 8

typedef struct Certificate {
        gnutls_pcert_st chain[CERTIFICATE_CHAIN_MAX]; /* owned */
        unsigned length;
        gnutls_privkey_t key;       /* owned */
        struct timespec changed[2]; /* of the two files when they were read */
} Certificate;

/* 1 when it was read, 0 when nothing has changed since; negative leaves *c alone. */
int certificate_load(Certificate *c, const char *certificate_file, const char *key_file, bool force,
                     Error *e);
void certificate_done(Certificate *c);
