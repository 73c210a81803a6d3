/* Exchanges a key for the instance's own credential. */
#pragma once

#include "facts.h"
#include "identity.h"
#include "link.h"
#include "settings.h"

typedef struct Enroller Enroller;

/* The identity has its credential and is stored. The enroller may be freed. */
typedef void (*enroller_done_t)(void *userdata);

/* Begins at once. All of them must live longer. */
int enroller_new(Link *link, const Settings *settings, const Facts *facts, Identity *identity,
                 enroller_done_t on_done, void *userdata, Enroller **ret);
Enroller *enroller_free(Enroller *n);
DEFINE_SCOPE_EXIT(Enroller, enroller_free)
