/* plan and apply: what the pipe files of a directory say shall be deployed. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "pipe-file.h"
#include "str.h"
#include "strv.h"
#include "table.h"
#include "verbs.h"

#define PLAN_TROUBLE 2 /* as of diff(1), like "pipe diff" */

typedef struct Item {
        PipeFile file;
        char *path;
        char *deployed; /* its version; NULL: there is no such pipe */
} Item;

typedef struct Plan {
        Item *items; /* by name */
        size_t count;
        size_t added, changed; /* what is to do */
        size_t strangers;      /* pipes that are deployed, and have no file here */
        int error;
} Plan;

static void plan_done(Plan *p) {
        for (size_t i = 0; i < p->count; i++) {
                pipe_file_done(&p->items[i].file);
                free(p->items[i].path);
                free(p->items[i].deployed);
        }
        free(p->items);
        *p = (Plan){};
}

static int is_pipe_file(const struct dirent *d) {
        size_t n = strlen(d->d_name);

        return n > strlen(".pipe") && str_eq(d->d_name + n - strlen(".pipe"), ".pipe");
}

static int add_directory(const char *directory, char ***paths) {
        struct dirent **entries = NULL;
        int n = scandir(directory, &entries, is_pipe_file, alphasort), r = 0;

        if (n < 0)
                return complain(-errno, "Cannot read %s: %s.", directory, strerror(errno));
        if (n == 0)
                r = complain(-ENOENT, "There is no .pipe file in %s.", directory);
        for (int i = 0; i < n; i++) {
                char *path = r >= 0 ? str_format("%s/%s", directory, entries[i]->d_name) : NULL;

                if (r >= 0)
                        r = path ? strv_append_take(paths, path) : -ENOMEM;
                free(entries[i]);
        }
        free(entries);
        return r;
}

static int find_files(const Context *x, char ***paths) {
        int r = 0;

        for (char *const *word = x->words; r >= 0 && *word; word++) {
                struct stat st;

                if (stat(*word, &st) >= 0 && S_ISDIR(st.st_mode))
                        r = add_directory(*word, paths);
                else
                        r = strv_append(paths, *word);
        }
        return r;
}

static int compare_items(const void *a, const void *b) {
        return strcmp(((const Item *) a)->file.name, ((const Item *) b)->file.name);
}

/* All complaints about all files come at once. */
static int read_files(char **paths, Plan *p) {
        int r = 0;

        p->items = calloc(strv_length(paths), sizeof(*p->items));
        if (!p->items)
                return -ENOMEM;
        STRV_FOREACH(path, paths) {
                Item *item = &p->items[p->count];

                if (pipe_file_read(*path, &item->file) < 0) {
                        r = -EINVAL;
                        continue;
                }
                p->count++;
                if (str_replace(&item->path, *path) < 0)
                        return -ENOMEM;
        }
        qsort(p->items, p->count, sizeof(*p->items), compare_items);
        for (size_t i = 1; i < p->count; i++)
                if (compare_items(&p->items[i - 1], &p->items[i]) == 0)
                        r = complain(-EINVAL, "%s and %s are both the pipe %s.",
                                     p->items[i - 1].path, p->items[i].path, p->items[i].file.name);
        return r;
}

static void take_deployed(const void *item, void *userdata) {
        const PipeFacts *facts = item;
        Item wanted = { .file.name = facts->pipe }, *found;
        Plan *p = userdata;

        found = bsearch(&wanted, p->items, p->count, sizeof(*p->items), compare_items);
        if (!found)
                p->strangers++;
        else if (str_replace(&found->deployed, facts->version) < 0)
                p->error = -ENOMEM;
}

static bool differs(const Item *item) {
        return !str_eq(item->deployed, item->file.version);
}

static int compare_with_deployed(const Context *x, Plan *p) {
        _cleanup_(freep) char *path =
                path_format("/api/v1/projects/%s/pipes", x->settings->project);
        Context quiet = *x;

        quiet.json = false;
        if (!path)
                return -ENOMEM;
        if (list_all(&quiet, path, pipe_page_fields, sizeof(PipeFacts), 0, take_deployed, p) !=
            EXIT_SUCCESS)
                return -EIO;
        for (size_t i = 0; i < p->count; i++) {
                p->added += !p->items[i].deployed;
                p->changed += p->items[i].deployed && differs(&p->items[i]);
        }
        return p->error;
}

/* What is wrong was said, but for a lack of memory. */
static int plan_make(Context *x, Plan *ret) {
        _cleanup_(strv_freep) char **paths = NULL;
        int r = find_files(x, &paths);

        if (r >= 0)
                r = read_files(paths, ret);
        if (r >= 0)
                r = compare_with_deployed(x, ret);
        return r == -ENOMEM ? complain(r, "Out of memory.") : r;
}

static void print_summary(const Plan *p) {
        (void) printf("%zu new, %zu changed, %zu unchanged.", p->added, p->changed,
                      p->count - p->added - p->changed);
        if (p->strangers > 0)
                (void) printf(" %zu that %s deployed %s no file here, and stay%s.", p->strangers,
                              p->strangers == 1 ? "is" : "are", p->strangers == 1 ? "has" : "have",
                              p->strangers == 1 ? "s" : "");
        (void) putchar('\n');
}

static int print_plan(const Plan *p) {
        static const char *const header[] = {
                "PIPE", "CHANGE", "DEPLOYED", "FILE'S", "FILE", NULL
        };
        _cleanup_(table_freep) Table *table = NULL;

        if (table_new(header, &table) < 0)
                return complain(-ENOMEM, "Out of memory.");
        for (size_t i = 0; i < p->count; i++) {
                const Item *item = &p->items[i];

                if (!differs(item))
                        continue;
                table_add(table, item->file.name);
                table_add(table, item->deployed ? "changed" : "new");
                table_add(table, item->deployed);
                table_add(table, item->file.version);
                table_add(table, item->path);
        }
        if (p->added + p->changed > 0 && table_print(table, NULL) < 0)
                return complain(-ENOMEM, "Out of memory.");
        print_summary(p);
        return 0;
}

static int print_plan_json(const Plan *p) {
        _cleanup_(freep) char *json = NULL;
        JsonOut o = {};

        json_out_object(&o, NULL);
        json_out_array(&o, "items");
        for (size_t i = 0; i < p->count; i++) {
                const Item *item = &p->items[i];

                json_out_object(&o, NULL);
                json_out_text(&o, "pipe", item->file.name);
                json_out_text(&o, "change",
                              !item->deployed ? "new"
                              : differs(item) ? "changed"
                                              : "none");
                json_out_text(&o, "deployed", item->deployed);
                json_out_text(&o, "version", item->file.version);
                json_out_text(&o, "file", item->path);
                json_out_end_object(&o);
        }
        json_out_end_array(&o);
        json_out_u64(&o, "without_file", p->strangers);
        json_out_end_object(&o);
        if (json_out_take(&o, &json) < 0)
                return complain(-ENOMEM, "Out of memory.");
        (void) puts(json);
        return 0;
}

int verb_plan(Context *x) {
        _cleanup_(plan_done) Plan p = {};
        int r = plan_make(x, &p);

        if (r >= 0)
                r = x->json ? print_plan_json(&p) : print_plan(&p);
        if (r < 0)
                return PLAN_TROUBLE;
        return p.added + p.changed > 0 ? 1 : 0;
}

int verb_apply(Context *x) {
        _cleanup_(plan_done) Plan p = {};
        int r = plan_make(x, &p);
        const PipeFile **files = r >= 0 ? calloc(p.count, sizeof(*files)) : NULL;
        size_t n = 0;

        if (r >= 0 && !files)
                r = complain(-ENOMEM, "Out of memory.");
        for (size_t i = 0; r >= 0 && i < p.count; i++)
                if (differs(&p.items[i]))
                        files[n++] = &p.items[i].file;
        if (r >= 0)
                r = pipes_deploy(x, files, n);
        free(files);
        if (r >= 0 && !x->json)
                print_summary(&p);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
