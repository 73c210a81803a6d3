/* Child processes of the supervisor. They die with it. */
#pragma once

#include <sys/types.h>
#include <systemd/sd-event.h>

typedef struct Child Child;

struct Child {
        const char *what;        /* borrowed: literal, for messages */
        pid_t pid;               /* 0 when none runs */
        sd_event_source *source; /* owned */
        void (*on_exit)(Child *c, const siginfo_t *info);
        void *userdata; /* borrowed: owns us */
};

/* Descriptor number in the child -> ours; both arrays end with -1. */
typedef struct ChildFds {
        int ours[4];
        int theirs[4];
} ChildFds;

/* Runs argv[0]. death_signal is sent to it when the supervisor dies. fds may be NULL. */
int child_spawn(Child *c, sd_event *event, char *const argv[], int death_signal,
                const ChildFds *fds);
void child_kill(const Child *c, int signal);
void child_done(Child *c);

/* "exited with status 1", "was killed by signal 9". Returns text. */
const char *child_how(const siginfo_t *info, char text[64]);
