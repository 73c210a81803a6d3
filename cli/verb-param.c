/* Values of parameters: of a run, as options say them; of a project. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parameter.h"
#include "str.h"
#include "strv.h"
#include "verbs.h"

int parameters_to_json(JsonOut *o, const char *key, char *const *words, bool null_too) {
        if (!words || !*words)
                return 0;
        json_out_object(o, key);
        STRV_FOREACH(w, words) {
                size_t n = strcspn(*w, "=");
                _cleanup_(freep) char *name = strndup(*w, n);

                if (!name)
                        return complain(-ENOMEM, "Out of memory.");
                if (!(*w)[n] || !parameter_name_ok(name, n))
                        return complain(-EINVAL,
                                        "\"%s\" is not NAME=VALUE; names have a-z, 0-9 and _.", *w);
                for (char *const *before = words; before < w; before++)
                        if (str_after(*before, name) && (*before)[n] == '=')
                                return complain(-EINVAL, "%s stands twice.", name);
                if (null_too && !(*w)[n + 1])
                        json_out_null(o, name);
                else
                        json_out_text(o, name, *w + n + 1);
        }
        json_out_end_object(o);
        return 0;
}

static int change(Context *x, Reply *reply) {
        _cleanup_(freep) char *json = NULL;
        JsonOut o = {};
        int r;

        json_out_object(&o, NULL);
        r = parameters_to_json(&o, "parameters", x->words + 1, true);
        json_out_end_object(&o);
        if (r < 0) {
                json_out_done(&o);
                return r;
        }
        if (json_out_take(&o, &json) < 0)
                return complain(-ENOMEM, "Out of memory.");
        return project_patch(x, json, reply);
}

int verb_project_param(Context *x) {
        _cleanup_(freep) char *path = path_format("/api/v1/projects/%s", x->words[0]);
        Project project = {};
        Reply reply = {};
        int r = path ? 0 : complain(-ENOMEM, "Out of memory.");

        if (r >= 0)
                r = x->words[1] ? change(x, &reply) : client_get(x->client, path, &reply);
        if (r >= 0 && x->json)
                r = print_json(&reply);
        else if (r >= 0 && (r = reply_decode(&reply, project_fields, &project)) >= 0)
                for (char *const *p = project.parameters; p && p[0]; p += 2)
                        (void) printf("%s=%s\n", p[0], p[1]);
        json_done(project_fields, &project);
        reply_done(&reply);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
