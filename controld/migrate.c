/* Numbered migrations once each, functions whenever their text changed, all in one transaction under an advisory lock. */
#include "migrate.h"

#include <dirent.h>
#include <errno.h>
#include <gnutls/crypto.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "fileio.h"
#include "log.h"
#include "message-ids.h"
#include "pg-session.h"
#include "str.h"
#include "strv.h"

#define SQL_FILE_MAX (4 * 1024 * 1024)
#define CONNECT_TRIES 120

typedef PGconn pg_conn_t;
typedef PGresult pg_result_t;
static inline void pg_conn_freep(pg_conn_t **slot) {
        PQfinish(*slot);
}
static inline void pg_result_freep(pg_result_t **slot) {
        PQclear(*slot);
}

static int execute(PGconn *conn, const char *sql, Error *e) {
        _cleanup_(pg_result_freep) pg_result_t *result = PQexec(conn, sql);
        ExecStatusType status = PQresultStatus(result);
        char *words;

        if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
                return 0;
        words = PQresultErrorMessage(result);
        return error_set(e, -EIO, "sql", "%s", str_strip(words));
}

/* The first value of a query with text parameters, "" when there is none. */
static int query(PGconn *conn, const char *sql, int n, const char *const params[], char **ret,
                 Error *e) {
        _cleanup_(pg_result_freep) pg_result_t *result =
                PQexecParams(conn, sql, n, NULL, params, NULL, NULL, 0);
        char *copy;

        if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
                return error_set(e, -EIO, "sql", "%s", str_strip(PQresultErrorMessage(result)));
        copy = strdup(PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
        if (!copy)
                return -ENOMEM;
        free(*ret);
        *ret = copy;
        return 0;
}

static void on_notice(void *userdata, const char *message) {
        (void) userdata;
        log_debug("PostgreSQL: %s", message);
}

static int connect_once(const char *conninfo, PGconn **ret, Error *e) {
        /* What is in the connection string counts more than what stands before it, and less than what stands behind it. */
        static const char *const keywords[] = { "target_session_attrs", "connect_timeout", "dbname",
                                                "client_encoding", NULL };
        const char *const values[] = { "read-write", "5", conninfo, "UTF8", NULL };
        PGconn *conn = PQconnectdbParams(keywords, values, 1);

        if (!conn)
                return -ENOMEM;
        if (PQstatus(conn) != CONNECTION_OK) {
                int r = error_set(e, -ENOTCONN, "no-database", "%s",
                                  str_strip(PQerrorMessage(conn)));

                PQfinish(conn);
                return r;
        }
        (void) PQsetNoticeProcessor(conn, on_notice, NULL);
        *ret = conn;
        return 0;
}

/* A server that is starting refuses, or has no socket yet: asked again for a while. */
static int connect_patiently(const char *conninfo, PGconn **ret, Error *e) {
        int r = -ENOTCONN;

        for (int i = 0; r == -ENOTCONN && i < CONNECT_TRIES; i++) {
                if (i > 0)
                        (void) usleep(500000);
                r = connect_once(conninfo, ret, e);
                if (r == -ENOTCONN && strstr(e->detail, "does not exist") &&
                    strstr(e->detail, "database"))
                        return -ENOENT;
        }
        return r;
}

/* The embedded cluster is ours, so its database is made here. Two may try at once. */
static int create_embedded_database(const Settings *settings, Error *e) {
        _cleanup_(freep) char *directory = settings_socket_directory(settings);
        _cleanup_(freep) char *conninfo =
                directory ? str_format("host='%s' dbname=postgres user=sluice", directory) : NULL;
        _cleanup_(pg_conn_freep) pg_conn_t *conn = NULL;
        int r = conninfo ? connect_once(conninfo, &conn, e) : -ENOMEM;

        if (r >= 0 && execute(conn, "CREATE DATABASE sluice", e) < 0 &&
            !strstr(e->detail, "already exists"))
                r = e->code;
        return r;
}

static int connect_owner(const Settings *settings, PGconn **ret, Error *e) {
        _cleanup_(freep) char *conninfo = settings_conninfo(settings);
        int r = conninfo ? connect_patiently(conninfo, ret, e) : -ENOMEM;

        if (r == -ENOENT && settings_embedded(settings)) {
                r = create_embedded_database(settings, e);
                if (r >= 0)
                        r = connect_patiently(conninfo, ret, e);
        }
        return r;
}

static int sha256_hex(const char *text, char hex[65]) {
        unsigned char hash[32];

        if (gnutls_hash_fast(GNUTLS_DIG_SHA256, text, strlen(text), hash) < 0)
                return -EIO;
        for (size_t i = 0; i < sizeof(hash); i++)
                (void) snprintf(hex + 2 * i, 3, "%02x", hash[i]);
        return 0;
}

static int read_sql(const Settings *settings, const char *file, char **ret, Error *e) {
        _cleanup_(freep) char *path = str_format("%s/%s", settings->sql_directory, file);
        int r = path ? file_read(path, SQL_FILE_MAX, ret, NULL) : -ENOMEM;

        return r < 0 ? error_set(e, r, "no-sql", "Cannot read %s: %s. See SQLDirectory=.",
                                 path ? path : file, strerror(-r))
                     : 0;
}

static int is_sql(const struct dirent *entry) {
        const char *dot = strrchr(entry->d_name, '.');

        return str_eq(dot, ".sql");
}

static int list_sql(const Settings *settings, const char *kind_directory, char ***ret, Error *e) {
        _cleanup_(freep) char *path = str_format("%s/%s", settings->sql_directory, kind_directory);
        _cleanup_(strv_freep) char **names = NULL;
        struct dirent **entries = NULL;
        int n = path ? scandir(path, &entries, is_sql, alphasort) : -1, r = 0;

        if (n <= 0)
                return error_set(e, -ENOENT, "no-sql",
                                 "There are no SQL files in %s. See SQLDirectory=.",
                                 path ? path : "");
        for (int i = 0; i < n; i++) {
                if (r >= 0)
                        r = strv_append(&names, entries[i]->d_name);
                free(entries[i]);
        }
        free(entries);
        if (r >= 0)
                *ret = TAKE_PTR(names);
        return r;
}

/* Applies one file if it is new (migrations) or changed (functions). */
static int apply(PGconn *conn, const Settings *settings, const char *kind, const char *directory,
                 const char *name, bool *changed, Error *e) {
        _cleanup_(freep) char *file = str_format("%s/%s", directory, name), *sql = NULL,
                              *known = NULL;
        char hash[65];
        int r = file ? read_sql(settings, file, &sql, e) : -ENOMEM;

        if (r >= 0)
                r = sha256_hex(sql, hash);
        if (r >= 0)
                r = query(conn, "SELECT sha256 FROM sluice.migration WHERE kind = $1 AND name = $2",
                          2, (const char *[]){ kind, name }, &known, e);
        if (r < 0 || str_eq(known, hash))
                return r;
        if (*known && str_eq(kind, "migration"))
                return error_set(e, -EPERM, "edited-migration",
                                 "%s is not what this database was made with; a released migration "
                                 "is never edited.",
                                 name);
        r = execute(conn, sql, e);
        if (r >= 0)
                r = query(conn,
                          "INSERT INTO sluice.migration (kind, name, sha256, breaking) VALUES ($1, "
                          "$2, $3, $4)"
                          " ON CONFLICT (kind, name) DO UPDATE SET sha256 = $3, applied_at = now()",
                          4,
                          (const char *[]){ kind, name, hash,
                                            strstr(sql, "Compat: breaking") ? "t" : "f" },
                          &known, e);
        if (r < 0)
                return error_prefix(e, "%s: ", name);
        *changed = true;
        return 0;
}

/* A migration that is applied but not among our files comes from a newer controld. */
static int check_newer(PGconn *conn, char *const *ours, Error *e) {
        _cleanup_(freep) char *names = NULL, *found = NULL;
        Buffer list = {};
        int r = buffer_append_str(&list, "{");

        STRV_FOREACH(n, ours)
                r = r < 0 ? r : buffer_printf(&list, "%s\"%s\"", n == ours ? "" : ",", *n);
        if (r >= 0)
                r = buffer_append_str(&list, "}");
        if (r >= 0)
                r = buffer_take(&list, &names);
        buffer_done(&list);
        if (r >= 0)
                r = query(conn,
                          "SELECT coalesce(min(name), '') FROM sluice.migration WHERE kind = "
                          "'migration' AND breaking AND name <> ALL ($1::text[])",
                          1, (const char *[]){ names }, &found, e);
        if (r >= 0 && *found)
                return error_set(e, -EPERM, "newer-schema",
                                 "The database has migration %s of a newer controld, which this "
                                 "one does not know and cannot work with: upgrade it.",
                                 found);
        return r;
}

static int migrate_locked(PGconn *conn, const Settings *settings, bool *changed, Error *e) {
        static const struct {
                const char *kind, *directory;
        } kinds[] = { { "migration", "migrations" }, { "api", "api" } };
        static const char *const first[] = { "bootstrap.sql", "roles.sql" };
        int r = execute(conn, "SELECT pg_advisory_xact_lock(hashtext('sluice.migrate'))", e);

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(first); i++) {
                _cleanup_(freep) char *sql = NULL;

                r = read_sql(settings, first[i], &sql, e);
                if (r >= 0)
                        r = execute(conn, sql, e);
        }
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(kinds); i++) {
                _cleanup_(strv_freep) char **names = NULL;

                r = list_sql(settings, kinds[i].directory, &names, e);
                if (r >= 0 && i == 0)
                        r = check_newer(conn, names, e);
                STRV_FOREACH(n, names)
                        r = r < 0 ? r
                                  : apply(conn, settings, kinds[i].kind, kinds[i].directory, *n,
                                          changed, e);
        }
        return r;
}

/* Another encoding does not know all characters, and SQL_ASCII counts bytes. */
static int check_encoding(PGconn *conn, Error *e) {
        _cleanup_(freep) char *encoding = NULL;
        int r = query(conn, "SHOW server_encoding", 0, NULL, &encoding, e);

        if (r >= 0 && !str_eq(encoding, "UTF8"))
                return error_set(
                        e, -EPERM, "encoding",
                        "The database has encoding %s, and Sluice needs UTF8. Make another "
                        "one: createdb --encoding=UTF8 --template=template0.",
                        encoding);
        return r;
}

int migrate_run(const Settings *settings, Error *e) {
        _cleanup_(pg_conn_freep) pg_conn_t *conn = NULL;
        _cleanup_(freep) char *session = pg_session_select(true, "true");
        bool changed = false;
        int r = session ? connect_owner(settings, &conn, e) : -ENOMEM;

        if (r >= 0)
                r = check_encoding(conn, e);
        if (r >= 0)
                r = execute(conn, "BEGIN ISOLATION LEVEL READ COMMITTED", e);
        if (r >= 0)
                r = execute(conn, session, e);
        if (r >= 0)
                r = migrate_locked(conn, settings, &changed, e);
        if (r >= 0)
                r = execute(conn, "COMMIT", e);
        if (r >= 0 && changed)
                log_message(LOG_NOTICE, MSG_MIGRATED, NULL,
                            "The database schema has been brought up to date.");
        return r;
}

int migrate_create_token(const Settings *settings, const char *name, const char *role,
                         const char *token, Error *e) {
        _cleanup_(pg_conn_freep) pg_conn_t *conn = NULL;
        _cleanup_(freep) char *answer = NULL;
        char hash[67] = "\\x";
        int r = connect_owner(settings, &conn, e);

        if (r >= 0)
                r = sha256_hex(token, hash + 2);
        return r < 0 ? r
                     : query(conn, "SELECT api.token_create($1, $2, $3)", 3,
                             (const char *[]){ name, role, hash }, &answer, e);
}
