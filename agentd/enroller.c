/* Asks until it is let in. The key is read anew for every try, so that a mended file is enough. */
#include "enroller.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "json-out.h"
#include "log.h"
#include "message-ids.h"
#include "proto.h"
#include "str.h"
#include "timespan.h"

#define TIMEOUT_SEC 30U
#define AGAIN_USEC (30 * USEC_PER_SEC)
#define REFUSED_USEC (60 * USEC_PER_SEC)

struct Enroller {
        Channel *channel; /* owned */
        /* borrowed */
        Link *link;
        const Settings *settings;
        const Facts *facts;
        Identity *identity;
        enroller_done_t on_done;
        void *userdata;
        char said[ERROR_DETAIL_MAX]; /* the last trouble, so that it is told once */
};

static void say(Enroller *n, const char *words) {
        if (!str_eq(n->said, words))
                log_message(LOG_ERR, NULL, NULL, "Cannot enrol: %s", words);
        (void) snprintf(n->said, sizeof(n->said), "%s", words);
}

static void write_request(JsonOut *o, const Enroller *n) {
        const Settings *s = n->settings;

        json_out_object(o, NULL);
        json_out_text(o, "instance", n->identity->instance);
        if (s->agent_id)
                json_out_text(o, "agent", s->agent_id);
        else
                json_out_text(o, "name", s->name ? s->name : n->facts->hostname);
        json_out_text(o, "type", s->type);
        json_out_labels(o, "labels", s->labels);
        json_out_u64(o, "slots", s->slots);
        json_out_text(o, "version", PACKAGE_VERSION);
        json_out_u64(o, "protocol", PROTO_VERSION);
        facts_write(n->facts, o);
        json_out_end_object(o);
}

static void on_turn(Channel *c, void *userdata) {
        _cleanup_(freep) char *json = NULL, *key = NULL;
        Enroller *n = userdata;
        bool api = false;
        JsonOut o = {};
        Error e = {};
        int r = settings_read_key(n->settings, &key, &api, &e);

        if (r >= 0)
                r = link_set_bearer(n->link, key);
        if (key)
                explicit_bzero(key, strlen(key));
        if (r < 0) {
                say(n, error_text(&e, r));
                channel_kick_later(c, AGAIN_USEC);
                return;
        }
        write_request(&o, n);
        if (json_out_take(&o, &json) < 0)
                channel_kick_later(c, AGAIN_USEC);
        else
                (void) channel_send(c, &(ChannelRequest){ PROTO_PATH "/enroll", "application/json",
                                                          json, strlen(json), TIMEOUT_SEC });
}

static int take_identity(Enroller *n, const ChannelAnswer *answer, Error *e) {
        ProtoEnrolled enrolled = {};
        Identity identity = {};
        Id agent, instance;
        int r = json_decode(answer->body, answer->size, proto_enrolled_fields, JSON_IGNORE_UNKNOWN,
                            &enrolled, e);

        if (r >= 0 &&
            (id_parse(enrolled.agent, &agent) < 0 || id_parse(enrolled.instance, &instance) < 0))
                r = error_set(e, -EINVAL, "bad-answer", "The answer has no identifiers.");
        if (r >= 0) {
                (void) id_to_text(agent, identity.agent);
                (void) id_to_text(instance, identity.instance);
                identity.name = TAKE_PTR(enrolled.name);
                identity.credential = TAKE_PTR(enrolled.credential);
                r = identity_store(n->settings->state_directory, &identity, e);
        }
        if (r >= 0)
                r = link_set_bearer(n->link, identity.credential);
        json_done(proto_enrolled_fields, &enrolled);
        if (r < 0) {
                identity_done(&identity);
                return r;
        }
        identity_done(n->identity);
        *n->identity = identity;
        return 0;
}

static void on_answer(Channel *c, const ChannelAnswer *answer, void *userdata) {
        Enroller *n = userdata;
        Error e = {};
        int r = 0;

        if (answer->problem && str_eq(answer->problem->slug, "instance-enrolled")) {
                log_notice("The control plane knows this instance, whose credential is not here "
                           "any more: enrolling as a new one.");
                r = identity_renew(n->settings->state_directory, n->identity, &e);
                if (r >= 0) {
                        channel_kick(c);
                        return;
                }
        } else if (answer->problem) {
                e = *answer->problem;
                r = -EACCES;
        } else {
                r = take_identity(n, answer, &e);
        }
        if (r < 0) {
                say(n, error_text(&e, r));
                channel_kick_later(c, REFUSED_USEC);
                return;
        }
        log_message(LOG_NOTICE, MSG_AGENT_ENROLLED, NULL, "Enrolled as agent \"%s\" (%s).",
                    n->identity->name ? n->identity->name : "", n->identity->agent);
        n->on_done(n->userdata);
}

int enroller_new(Link *link, const Settings *settings, const Facts *facts, Identity *identity,
                 enroller_done_t on_done, void *userdata, Enroller **ret) {
        Enroller *n = calloc(1, sizeof(*n));
        int r;

        if (!n)
                return -ENOMEM;
        *n = (Enroller){ .link = link,
                         .settings = settings,
                         .facts = facts,
                         .identity = identity,
                         .on_done = on_done,
                         .userdata = userdata };
        r = channel_new(link, "enroll", on_turn, on_answer, n, &n->channel);
        if (r < 0) {
                (void) enroller_free(n);
                return r;
        }
        channel_kick(n->channel);
        *ret = n;
        return 0;
}

Enroller *enroller_free(Enroller *n) {
        if (!n)
                return NULL;
        (void) channel_free(n->channel);
        free(n);
        return NULL;
}
