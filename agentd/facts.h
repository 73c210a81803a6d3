/* What enrolment and the first poll of a session say about the host, and what a host must have. */
#pragma once

#include <stdint.h>

#include "error.h"
#include "id.h"
#include "json-out.h"

typedef struct Facts {
        char boot[ID_HEX_SIZE];
        char hostname[256];
        char kernel[128];
        char architecture[32];
        char systemd[64]; /* "": not known yet */
        uint32_t cpus;
        uint64_t memory_bytes;
} Facts;

/* -EOPNOTSUPP when cgroup v2 is missing. */
int facts_read(Facts *ret, Error *e);

/* "252.39-1~deb12u1" or "v257.3-1": is it new enough? */
int facts_check_systemd(const char *version, Error *e);

/* Members of an object. */
void facts_write(const Facts *f, JsonOut *o);
