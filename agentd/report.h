/* What is told of an attempt, as an event of the agent protocol. */
#pragma once

#include "attempt.h"
#include "json-out.h"

void report_status(JsonOut *o, const Attempt *a);
void report_running(JsonOut *o, const Attempt *a);
void report_ended(JsonOut *o, const Attempt *a);
void report_stuck(JsonOut *o, const Attempt *a);
void report_refused(JsonOut *o, const Attempt *a);
void report_logged(JsonOut *o, const Attempt *a);
