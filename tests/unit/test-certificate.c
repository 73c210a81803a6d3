/* The certificate in use is the one in the files, also when nothing but their owner or mode has changed. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "certificate.h"
#include "cleanup.h"
#include "str.h"
#include "tls-init.h"
#include "../lib/tap.h"

static char directory[] = "/tmp/sluice-test-certificate-XXXXXX";

static char *inside(const char *name) {
        return str_format("%s/%s", directory, name);
}

static void make(void) {
        char *const hosts[] = { "localhost", NULL };
        Error e = {};

        ok_int(tls_init(directory, hosts, true, &e), 0);
}

static void test_what_changes_is_loaded(void) {
        _cleanup_(freep) char *certificate = inside("server.pem"), *key = inside("server.key");
        Certificate c = {};
        struct stat before;
        Error e = {};

        ok_int(certificate_load(&c, certificate, key, false, &e), -ENOENT);
        make();
        ok_int(certificate_load(&c, certificate, key, false, &e), 1);
        ok_int(certificate_load(&c, certificate, key, false, &e), 0);
        make();
        ok_int(certificate_load(&c, certificate, key, false, &e), 1);
        certificate_done(&c);

        /* A key that could not be read, and now may: its time of modification is as before. */
        ok_int(certificate_load(&c, certificate, key, false, &e), 1);
        ok_int(stat(key, &before), 0);
        ok_int(chmod(key, before.st_mode ^ S_IRGRP), 0);
        ok_int(certificate_load(&c, certificate, key, false, &e), 1);
        ok_int(certificate_load(&c, certificate, key, false, &e), 0);

        /* What is broken is complained about once, and the former stays. */
        ok_int(truncate(certificate, 10), 0);
        ok_int(certificate_load(&c, certificate, key, false, &e), -EBADMSG);
        ok_int(certificate_load(&c, certificate, key, false, &e), 0);
        ok_true(c.length > 0);
        certificate_done(&c);
}

static void clean_up(void) {
        static const char *const names[] = { "ca.pem", "ca.key", "server.pem", "server.key" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_(freep) char *path = inside(names[i]);

                (void) unlink(path);
        }
        ok_int(rmdir(directory), 0);
}

int main(void) {
        if (!mkdtemp(directory))
                return EXIT_FAILURE;
        RUN(test_what_changes_is_loaded);
        clean_up();
        return tap_done();
}
