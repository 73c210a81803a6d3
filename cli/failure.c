/* What went wrong, in words for a person, and whether it may pass by itself. */
#include <errno.h>

#include "client-internal.h"
#include "proto.h"
#include "str.h"

Trouble failure_kind(const HttpAnswer *answer) {
        switch (answer->r) {
        case 0:
                break;
        case -ECONNREFUSED:
        case -EHOSTUNREACH:
        case -ETIMEDOUT:
                return TROUBLE_AWAY;
        case -EIO:
                return TROUBLE_BROKEN;
        default:
                return TROUBLE_LASTS;
        }
        switch (answer->status) {
        case 429:
        case 502:
        case 503:
        case 504:
                return TROUBLE_BUSY;
        default:
                return answer->status >= 500 ? TROUBLE_INTERNAL : TROUBLE_LASTS;
        }
}

static int describe_network(const char *url, const HttpAnswer *answer, Error *e) {
        switch (answer->r) {
        case -ECONNREFUSED:
                return error_set(e, answer->r, "unreachable",
                                 "Nothing answers at %s. Is controld running there, and is the URL "
                                 "right (--url=, SLUICE_URL)?",
                                 url);
        case -EHOSTUNREACH:
                return error_set(e, answer->r, "unreachable",
                                 "The host of %s is not known: %s. Is the URL right (--url=, "
                                 "SLUICE_URL)?",
                                 url, answer->error);
        case -EKEYREJECTED:
                return error_set(e, answer->r, "bad-certificate",
                                 "The certificate of %s cannot be verified: %s. Name the CA that "
                                 "signed it with --cafile= or SLUICE_CAFILE.",
                                 url, answer->error);
        case -ENOKEY:
                return error_set(e, answer->r, "bad-ca",
                                 "The CA file cannot be used: %s. Name another with --cafile= or "
                                 "SLUICE_CAFILE.",
                                 answer->error);
        case -EPROTONOSUPPORT:
                return error_set(e, answer->r, "bad-url",
                                 "%s would send the token in clear. Use https://; plain http is "
                                 "for this very host.",
                                 url);
        case -EFBIG:
                return error_set(e, answer->r, "too-large", "The answer of %s is over %d MiB.", url,
                                 HTTP_ANSWER_MAX >> 20);
        default:
                return error_set(e, answer->r, "unreachable", "Cannot talk to %s: %s.", url,
                                 answer->error);
        }
}

static void describe_problem(const ProtoProblem *problem, unsigned status, Error *e) {
        const char *code = problem->code ? problem->code : "refused";

        if (status == 401)
                (void) error_set(e, -EACCES, code,
                                 "The token was refused: %s Set another with SLUICE_TOKEN or "
                                 "--token-file=.",
                                 problem->detail);
        else
                (void) error_set(e, -EREMOTEIO, code, "%s%s%s", problem->detail,
                                 problem->hint ? " " : "", problem->hint ? problem->hint : "");
}

int failure_describe(const char *url, const HttpAnswer *answer, Error *e) {
        ProtoProblem problem = {};
        int r;

        if (answer->r < 0)
                return describe_network(url, answer, e);
        r = json_decode(answer->body, answer->size, proto_problem_fields, JSON_IGNORE_UNKNOWN,
                        &problem, NULL);
        if (r >= 0 && problem.detail)
                describe_problem(&problem, answer->status, e);
        else if (answer->status == 401)
                (void) error_set(e, -EACCES, "unauthorized",
                                 "The token was refused. Set another with SLUICE_TOKEN or "
                                 "--token-file=.");
        else
                (void) error_set(e, -EREMOTEIO, "refused",
                                 "%s answers HTTP %u without saying why. Is a control plane "
                                 "there?",
                                 url, answer->status);
        json_done(proto_problem_fields, &problem);
        return -EREMOTEIO;
}
