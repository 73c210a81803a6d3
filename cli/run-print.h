/* A run for people. */
#pragma once

#include <stdio.h>

#include "shapes.h"

/* The table of its tasks, and what there is to say about those that failed or wait. 0 or -ENOMEM. */
int run_print_tasks(const Run *run);
/* What it was given, and which layer each value came from. */
void run_print_values(const JsonArray *values);
/* Ends the line about its due time: after which run of another pipe it is, if it is. */
void run_print_cause(const Scheduled *s);
/* That it is the trial of a draft, when it is. */
void run_print_trial(bool trial);
/* All about it, as systemctl status. */
int run_print(const Run *run);

/* "exited with status 3", "was killed at MemoryMax=32.0M" …: why a task is not (yet) what one hopes for. New string, NULL when there
 * is nothing to say or no memory. */
char *attempt_explain(const Attempt *a);
