/* One look at a directory, once in each session. What is no workspace's name is passed over. */
#include "workspaces.h"

#include <dirent.h>
#include <stddef.h>

#include "id.h"
#include "proto.h"

void workspaces_write(JsonOut *o, const char *key, const char *directory) {
        DIR *d = opendir(directory);
        struct dirent *entry;
        char text[ID_TEXT_SIZE];
        unsigned n = 0;
        Id id;

        json_out_array(o, key);
        while (d && n < PROTO_WORKSPACES_MAX && (entry = readdir(d)))
                if (id_parse(entry->d_name, &id) >= 0) {
                        json_out_text(o, NULL, id_to_text(id, text));
                        n++;
                }
        json_out_end_array(o);
        if (d)
                (void) closedir(d);
}
