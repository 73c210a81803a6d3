/* Handlers that do more than hand one statement its parameters. */
#pragma once

#include "exchange.h"

void route_health(Exchange *x);
void route_ready(Exchange *x);
void route_pipe_put(Exchange *x);
void route_pipes_put(Exchange *x);
void route_pipe_verify(Exchange *x);
void route_trial_create(Exchange *x);
void route_run_get(Exchange *x);
void route_key_create(Exchange *x);
void route_run_logs(Exchange *x);
void route_webhook_create(Exchange *x);
void route_webhook_take(Exchange *x);
/* The key that secrets of webhooks are derived from, unless ret_key is NULL, and its id; NULL after replying that there is none. */
const char *route_webhook_key(Exchange *x, const char **ret_key);

void route_agent_enroll(Exchange *x);
void route_agent_sync(Exchange *x);
void route_agent_logs(Exchange *x);
