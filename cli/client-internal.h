/* What calls need of their client. */
#pragma once

#include "client.h"
#include "http-client.h"

HttpClient *client_http(const Client *c);
const char *client_url(const Client *c);
const char *client_token(const Client *c);

/* Told once when trouble begins, and once when it is over, whatever number of calls is in it. */
void client_in_trouble(Client *c, const char *detail);
void client_out_of_trouble(Client *c);

/* Words for an answer that is no success: what went wrong, and what a person can do about it. */
int failure_describe(const char *url, const HttpAnswer *answer, Error *e);

/* Whether the same request may go better later. */
typedef enum Trouble {
        TROUBLE_LASTS,    /* no */
        TROUBLE_BUSY,     /* there, and asks for patience: 429, 503 … */
        TROUBLE_BROKEN,   /* it broke on the way: the request may have been carried out */
        TROUBLE_AWAY,     /* cannot be reached */
        TROUBLE_INTERNAL, /* 500: a bug, or the database in a bad moment */
} Trouble;
Trouble failure_kind(const HttpAnswer *answer);
