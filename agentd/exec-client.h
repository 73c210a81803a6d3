/* Calls of agentd-exec, the root half. dbus-daemon allows a connection 128 unanswered calls, so a bounded number is under
 * way and the rest waits in order. What may be repeated is repeated, with delays, until it works. */
#pragma once

#include <systemd/sd-bus.h>

#include "cleanup.h"

typedef struct ExecClient ExecClient;
typedef struct ExecCall ExecCall;

typedef enum ExecVerdict {
        EXEC_DONE,
        EXEC_EXISTS,  /* the unit is there already: an earlier call did it */
        EXEC_REFUSED, /* by the host's policy or by systemd; asking again would not help */
        EXEC_FAILED,  /* tried as often as allowed, or as makes sense */
} ExecVerdict;

/* Once, from the loop. The call is freed by then, so the owner forgets its pointer first. */
typedef void (*exec_done_t)(ExecVerdict verdict, const char *words, void *userdata);
/* Appends what the method wants. */
typedef int (*exec_append_t)(sd_bus_message *m, void *userdata);

/* Takes what the method answers; below zero: that is not what it promises. Before done. */
typedef int (*exec_take_t)(sd_bus_message *m, void *userdata);

typedef struct ExecRequest {
        const char *method;   /* constant */
        exec_append_t append; /* NULL: the text, if there is one */
        const char *text;     /* copied; calls of one text are made one after the other */
        exec_take_t take;     /* NULL: nothing */
        unsigned tries_max;   /* 0: for ever */
        exec_done_t done;     /* NULL: nobody waits, and the client owns the call */
        void *userdata;
} ExecRequest;

/* The bus must live longer. */
int exec_client_new(sd_event *event, sd_bus *bus, ExecClient **ret);
ExecClient *exec_client_free(ExecClient *x); /* with all calls */
DEFINE_SCOPE_EXIT(ExecClient, exec_client_free)

/* ret may be NULL when there is no done. */
int exec_call_new(ExecClient *x, const ExecRequest *request, ExecCall **ret);
ExecCall *exec_call_free(ExecCall *c); /* forgets the answer; what was sent still happens */
