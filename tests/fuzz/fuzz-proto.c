/* Every message of the agent protocol: decoded or refused, and freed. */
#include "fuzz.h"
#include "proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const struct {
                const JsonField *fields;
        } tables[] = {
                { proto_enroll_fields },  { proto_enrolled_fields }, { proto_sync_fields },
                { proto_events_fields },  { proto_work_fields },     { proto_logged_fields },
                { proto_metrics_fields }, { proto_goodbye_fields },  { proto_problem_fields },
        };

        for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
                for (JsonFlags flags = JSON_REFUSE_UNKNOWN; flags <= JSON_IGNORE_UNKNOWN; flags++) {
                        union {
                                ProtoEnroll enroll;
                                ProtoSync sync;
                                ProtoEvents events;
                                ProtoWork work;
                                ProtoMetrics metrics;
                        } target = {};
                        Error e = {};
                        int r = json_decode((const char *) data, size, tables[i].fields, flags,
                                            &target, &e);

                        HOLDS(r >= 0 || e.detail[0]);
                        json_done(tables[i].fields, &target);
                }
        return 0;
}
