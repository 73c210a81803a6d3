/* One look at the directory of ours in each session. systemd has in it links to directories that are closed to us, and removes a link
 * first: after a power cut a directory may be there without its link, so agentd-exec is asked for those once. What is no workspace's name
 * is passed over. */
#include "workspaces.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "id.h"
#include "log.h"
#include "proto.h"
#include "str.h"
#include "strv.h"
#include "unit-name.h"

#define TRIES_MAX 4U

struct Workspaces {
        /* owned */
        char *directory;
        char **closed; /* those that root saw when we began */
        ExecCall *call;
        /* borrowed */
        ExecClient *exec;
        const char *instance;
        void (*done)(void *userdata);
        void *userdata;
        bool known;
};

int workspaces_new(ExecClient *exec, const char *state, const char *instance, Workspaces **ret) {
        _cleanup_(freep) char *below = instance_workspaces(instance);
        _cleanup_(workspaces_freep) Workspaces *w = calloc(1, sizeof(*w));

        if (!below || !w)
                return -ENOMEM;
        w->exec = exec;
        w->instance = instance;
        w->directory = str_format("%s/%s", state, below);
        if (!w->directory)
                return -ENOMEM;
        *ret = TAKE_PTR(w);
        return 0;
}

Workspaces *workspaces_free(Workspaces *w) {
        if (!w)
                return NULL;
        (void) exec_call_free(w->call);
        (void) strv_free(w->closed);
        free(w->directory);
        free(w);
        return NULL;
}

static int take(sd_bus_message *m, void *userdata) {
        Workspaces *w = userdata;

        w->closed = strv_free(w->closed);
        return sd_bus_message_read_strv(m, &w->closed);
}

static void on_done(ExecVerdict verdict, const char *words, void *userdata) {
        Workspaces *w = userdata;

        w->call = NULL;
        w->known = true;
        if (verdict != EXEC_DONE)
                log_message(LOG_WARNING, NULL, NULL,
                            "Workspaces that a power cut brought back may stay: %s", words);
        w->done(w->userdata);
}

bool workspaces_are_known(Workspaces *w, void (*done)(void *userdata), void *userdata) {
        int r = 0;

        if (w->known || w->call)
                return w->known;
        w->done = done;
        w->userdata = userdata;
        r = exec_call_new(w->exec,
                          &(ExecRequest){ .method = "Workspaces",
                                          .text = w->instance,
                                          .take = take,
                                          .tries_max = TRIES_MAX,
                                          .done = on_done,
                                          .userdata = w },
                          &w->call);
        if (r < 0)
                on_done(EXEC_FAILED, strerror(-r), w);
        return false;
}

static bool write_name(JsonOut *o, const char *name) {
        char text[ID_TEXT_SIZE];
        Id id;

        if (id_parse(name, &id) < 0)
                return false;
        json_out_text(o, NULL, id_to_text(id, text));
        return true;
}

void workspaces_write(const Workspaces *w, JsonOut *o, const char *key) {
        DIR *d = opendir(w->directory);
        struct dirent *entry;
        unsigned n = 0;

        json_out_array(o, key);
        while (d && n < PROTO_WORKSPACES_MAX && (entry = readdir(d)))
                n += write_name(o, entry->d_name);
        for (char **name = w->closed; name && *name && n < PROTO_WORKSPACES_MAX; name++)
                if (!d || faccessat(dirfd(d), *name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                        n += write_name(o, *name);
        json_out_end_array(o);
        if (d)
                (void) closedir(d);
}
