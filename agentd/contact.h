/* When the control plane was last heard of, and the fence that follows from it: while there are fenced attempts, agentd-exec is
 * asked to move PID 1's deadline along, and to end it where the host has slept beyond it. See docs/decisions/0006-fencing.md. All times are CLOCK_BOOTTIME. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "exec-client.h"

typedef struct Contact Contact;

/* From the loop: the deadline was to be moved. words: why it was not; NULL: it stands. */
typedef void (*contact_moved_t)(const char *words, void *userdata);

/* instance: whose fence it is, "" of the one without a name; must live longer. directory: until the next boot, where the deadline is
 * noted for the next start of agentd; NULL: nowhere. */
int contact_new(sd_event *event, ExecClient *exec, const char *instance, uint64_t self_fence_usec,
                const char *directory, contact_moved_t moved, void *userdata, Contact **ret);
Contact *contact_free(Contact *c); /* before the ExecClient */
DEFINE_SCOPE_EXIT(Contact, contact_free)

uint64_t contact_now(void);
/* A request that was sent then has been answered, by the database. */
void contact_note(Contact *c, uint64_t sent_usec);
/* There are fenced attempts, or one is about to be: moves the deadline if that is worth a call. */
void contact_fence(Contact *c);
/* PID 1 has a deadline that is not over, so that something fenced may begin; else the next contact_fence() has it set one. */
bool contact_stands(const Contact *c);
/* Who has stopped a fenced attempt may have stopped the timers, too: the next contact has PID 1 begin with them anew. */
void contact_doubt(Contact *c);

/* Once, from the loop, also when it did not work. */
typedef void (*contact_done_t)(void *userdata);
/* Fenced attempts were found at our start, and there was no contact yet: a deadline that stands is left alone, and where there is
 * none, because it was lifted, there is one again before the control plane hears of us. */
int contact_resume(Contact *c, contact_done_t done, void *userdata);
/* The control plane has our goodbye and waits for us: there is nothing to fence any more. */
int contact_lift(Contact *c, contact_done_t done, void *userdata);
/* How long what such a request brought may still be begun. */
uint64_t contact_deadline(const Contact *c, uint64_t sent_usec);
/* The deadline that PID 1 has, maybe since an earlier start of agentd, was over by then, which is CLOCK_MONOTONIC. */
bool contact_was_over(const Contact *c, uint64_t at_usec);
