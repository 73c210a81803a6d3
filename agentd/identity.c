/* Two files: identity (JSON, no secret) and credential. Each is replaced atomically; the credential last, so that its being
 * there means that enrolment is complete. */
#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "fd.h"
#include "fileio.h"
#include "json-in.h"
#include "json-out.h"
#include "str.h"

#define FILE_MAX 4096

typedef struct IdentityFile {
        char *instance, *agent, *name; /* owned */
} IdentityFile;

static const JsonField fields[] = {
        { "instance", JSON_TEXT, true, offsetof(IdentityFile, instance), .max = ID_TEXT_SIZE - 1 },
        { "agent", JSON_TEXT, false, offsetof(IdentityFile, agent), .max = ID_TEXT_SIZE - 1 },
        { "name", JSON_TEXT, false, offsetof(IdentityFile, name), .max = 255 },
        {},
};

static int write_file(const char *directory, const char *name, const char *text, Error *e) {
        _cleanup_(freep) char *path = str_format("%s/%s", directory, name);
        int r = path ? file_write_atomic(path, text, strlen(text), 0600) : -ENOMEM;

        return r < 0 ? error_set(e, r, "state", "Cannot write %s/%s: %s.", directory, name,
                                 strerror(-r))
                     : 0;
}

static int write_identity(const char *directory, const Identity *identity, Error *e) {
        _cleanup_(freep) char *json = NULL;
        JsonOut o = {};

        json_out_object(&o, NULL);
        json_out_text(&o, "instance", identity->instance);
        if (*identity->agent)
                json_out_text(&o, "agent", identity->agent);
        if (identity->name)
                json_out_text(&o, "name", identity->name);
        json_out_end_object(&o);
        if (json_out_take(&o, &json) < 0)
                return error_set(e, -ENOMEM, "state", "Out of memory.");
        return write_file(directory, "identity", json, e);
}

int identity_renew(const char *directory, Identity *identity, Error *e) {
        _cleanup_(freep) char *secret = str_format("%s/credential", directory);
        Id id;
        int r = secret ? id_random(&id) : -ENOMEM;

        if (r < 0)
                return error_set(e, r, "state", "The kernel gives no random bytes.");
        if (unlink(secret) < 0 && errno != ENOENT)
                return error_set(e, -errno, "state", "Cannot remove %s: %s.", secret,
                                 strerror(errno));
        identity_done(identity);
        (void) id_to_text(id, identity->instance);
        return write_identity(directory, identity, e);
}

static int take_file(const IdentityFile *file, Identity *ret) {
        Id id;

        if (id_parse(file->instance, &id) < 0)
                return -EINVAL;
        (void) id_to_text(id, ret->instance);
        if (file->agent) {
                if (id_parse(file->agent, &id) < 0)
                        return -EINVAL;
                (void) id_to_text(id, ret->agent);
        }
        return file->name ? str_replace(&ret->name, file->name) : 0;
}

static int read_identity(const char *path, Identity *ret, Error *e) {
        _cleanup_(freep) char *text = NULL;
        IdentityFile file = {};
        size_t size = 0;
        int r = file_read(path, FILE_MAX, &text, &size);

        if (r == -ENOENT)
                return r;
        if (r < 0)
                return error_set(e, r, "state", "Cannot read %s: %s.", path, strerror(-r));
        r = json_decode(text, size, fields, JSON_IGNORE_UNKNOWN, &file, NULL);
        if (r >= 0)
                r = take_file(&file, ret);
        json_done(fields, &file);
        return r >= 0 ? r
                      : error_set(e, r, "state",
                                  "%s is damaged: %s. Remove it, and this agent enrols anew.", path,
                                  strerror(-r));
}

int identity_lock(const char *directory, Error *e) {
        _cleanup_(fd_closep) int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return error_set(e, -errno, "state", "Cannot open %s: %s.", directory,
                                 strerror(errno));
        if (flock(fd, LOCK_EX | LOCK_NB) >= 0)
                return TAKE_FD(fd);
        if (errno != EWOULDBLOCK)
                return error_set(e, -errno, "state", "Cannot lock %s: %s.", directory,
                                 strerror(errno));
        return error_set(e, -EBUSY, "state",
                         "Another agentd is running with %s; see systemctl status 'agentd*'.",
                         directory);
}

int identity_load(const char *directory, Identity *ret, Error *e) {
        _cleanup_(freep) char *path = str_format("%s/identity", directory);
        _cleanup_(freep) char *secret = str_format("%s/credential", directory);
        Identity identity = {};
        int r = path && secret ? read_identity(path, &identity, e) : -ENOMEM;

        if (r == -ENOENT) {
                r = identity_renew(directory, &identity, e);
        } else if (r >= 0) {
                r = file_read_secret(secret, FILE_MAX, &identity.credential);
                if (r < 0 && r != -ENOENT)
                        r = error_set(e, r, "state", "Cannot read %s: %s.", secret, strerror(-r));
                else
                        r = 0;
        }
        if (r < 0) {
                identity_done(&identity);
                return r;
        }
        *ret = identity;
        return 0;
}

int identity_store(const char *directory, const Identity *identity, Error *e) {
        _cleanup_(freep) char *line = str_format("%s\n", identity->credential);
        int r = line ? write_identity(directory, identity, e) : -ENOMEM;

        return r < 0 ? r : write_file(directory, "credential", line, e);
}

void identity_done(Identity *identity) {
        free(identity->name);
        if (identity->credential)
                explicit_bzero(identity->credential, strlen(identity->credential));
        free(identity->credential);
        *identity = (Identity){};
}
