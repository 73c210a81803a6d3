/* `controld tls init`: a local certificate authority and a server certificate, for sites without one of their own. */
#pragma once

#include <stdbool.h>

#include "error.h"

/* Writes ca.pem, ca.key, server.pem and server.key into directory. hosts: names and addresses that clients will use.
 * -EEXIST when there is a CA already and force is not set. */
int tls_init(const char *directory, char *const *hosts, bool force, Error *e);
