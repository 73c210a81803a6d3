/* The table of docs/DATABASE.md. A new function is CALL_ONCE until somebody has thought about it; a test wants it to be here. */
#include "call-class.h"

#include <stddef.h>

#include "cleanup.h"
#include "str.h"

static const struct {
        const char *statement;
        CallClass class;
} classes[] = {
        { "agent_create", CALL_ONCE },
        { "agent_delete", CALL_ONCE },
        { "agent_flag_set", CALL_SAFE },
        { "agent_flag_clear", CALL_SAFE },
        { "agent_enroll", CALL_SAFE },
        { "agent_events", CALL_SAFE },
        { "agent_explain", CALL_SAFE },
        { "agent_get", CALL_SAFE },
        { "agent_goodbye", CALL_SAFE },
        { "agent_list", CALL_SAFE },
        { "agent_log_append", CALL_SAFE },
        { "agent_metrics", CALL_ONCE }, /* samples are not worth a repeat */
        { "agent_sync", CALL_SAFE },
        { "attempt_get", CALL_SAFE },
        { "attempt_list", CALL_SAFE },
        { "attempt_metrics", CALL_SAFE },
        { "backfill_cancel", CALL_SAFE },
        { "backfill_create", CALL_KEYED },
        { "backfill_get", CALL_SAFE },
        { "backfill_list", CALL_SAFE },
        { "dispatch", CALL_SAFE },
        { "event_list", CALL_SAFE },
        { "events_tell", CALL_ONCE }, /* what was told is not told again */
        { "key_create", CALL_ONCE },
        { "key_list", CALL_SAFE },
        { "key_revoke", CALL_SAFE },
        { "maintain", CALL_SAFE },
        { "news", CALL_SAFE },
        { "pipe_deploy", CALL_SAFE },
        { "pipe_get", CALL_SAFE },
        { "pipe_history", CALL_SAFE },
        { "pipe_list", CALL_SAFE },
        { "pipe_put", CALL_SAFE },
        { "pipe_put_many", CALL_SAFE },
        { "pipe_verify", CALL_SAFE },
        { "pipe_versions", CALL_SAFE },
        { "presence_broke", CALL_SAFE },
        { "presence_flush", CALL_SAFE },
        { "project_create", CALL_ONCE },
        { "project_get", CALL_SAFE },
        { "project_list", CALL_SAFE },
        { "project_set", CALL_SAFE },
        { "ready", CALL_SAFE },
        { "run_cancel", CALL_SAFE },
        { "run_create", CALL_KEYED },
        { "run_create_many", CALL_KEYED },
        { "run_explain", CALL_SAFE },
        { "run_get", CALL_SAFE },
        { "run_list", CALL_SAFE },
        { "run_logs", CALL_SAFE },
        { "run_rerun", CALL_KEYED },
        { "schedule_dues", CALL_SAFE },
        { "schedule_get", CALL_SAFE },
        { "schedule_list", CALL_SAFE },
        { "schedule_pause", CALL_SAFE },
        { "schedule_resume", CALL_SAFE },
        { "schedules_due", CALL_SAFE },
        { "schedules_fire", CALL_SAFE },
        { "stream_restart", CALL_ONCE }, /* each call is another restart */
        { "stream_start", CALL_SAFE },
        { "stream_stop", CALL_SAFE },
        { "tick", CALL_SAFE },
        { "trial_create", CALL_KEYED },
        { "webhook_create", CALL_ONCE },
        { "webhook_delete", CALL_SAFE },
        { "webhook_deliveries", CALL_SAFE },
        { "webhook_list", CALL_SAFE },
        { "webhook_take", CALL_SAFE },
        { "zone_get", CALL_SAFE },
        { "zones", CALL_SAFE },
};

static size_t find(const char *statement) {
        size_t i = 0;

        while (i < ELEMENTSOF(classes) && !str_eq(classes[i].statement, statement))
                i++;
        return i;
}

bool call_is_classified(const char *statement) {
        return find(statement) < ELEMENTSOF(classes);
}

CallClass call_class(const char *statement) {
        size_t i = find(statement);

        return i < ELEMENTSOF(classes) ? classes[i].class : CALL_ONCE;
}
