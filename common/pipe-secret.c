/* Secrets in the directives of tasks: whoever may ask systemd or the control plane can read them there. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "directive.h"
#include "pipe-internal.h"
#include "secret.h"
#include "strv.h"

/* A name says it as well, unless there is nothing, or what only the host knows. */
static int check_assignment(const char *word, Error *e) {
        size_t n = strcspn(word, "=");
        _cleanup_(freep) char *name = strndup(word, n);

        if (!name)
                return -ENOMEM;
        if (!word[n] || !word[n + 1] || word[n + 1] == '$' || word[n + 1] == '%')
                return 0;
        return secret_check("variable", name, word + n + 1, e);
}

static int check_value(const Directive *d, const char *value, Error *e) {
        _cleanup_(strv_freep) char **words = NULL;
        const char *like = NULL;
        int r = 0;

        if (d->type == DIRECTIVE_ENVIRONMENT && words_split(value, &words, NULL) == -ENOMEM)
                return -ENOMEM;
        STRV_FOREACH(w, words)
                if (r >= 0)
                        r = check_assignment(*w, e);
        if (r >= 0 && !words)
                r = secret_looks_like(value, &like);
        return r <= 0 ? r
                      : error_set(e, -EINVAL, "secret-refused",
                                  "there is what looks like %s; secrets are given to a task with "
                                  "LoadCredential=, from a file of the host",
                                  like);
}

void pipe_check_secrets(PipeCheck *c) {
        for (size_t i = 0; i < c->pipe->tasks.count && c->trouble >= 0; i++) {
                char **first = pipe_task(c->pipe, i)->directives;

                for (char **d = first; d && *d; d += 2) {
                        const Directive *row = directive_find(d[0]);
                        Error e = {};
                        int r = row ? check_value(row, d[1], &e) : 0;

                        if (r < 0 && e.detail[0])
                                (void) error_prefix(&e, "%s=: ", d[0]);
                        pipe_object(c, PLACE_DIRECTIVE(i, (size_t) (d - first) / 2), r, &e);
                }
        }
}
