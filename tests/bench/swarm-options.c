/* Options by the same table as every configuration: --NAME=VALUE, or $SLUICE_NAME. */
#include "swarm-options.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>

#include "config.h"
#include "str.h"
#include "timespan.h"

static const char help[] =
        "usage: swarm --url=URL --ca-file=FILE --agents=N --runs=N --seconds=N [OPTIONS]\n"
        "\n"
        "Plays many agents against a controld, and creates runs for them. See docs/TESTING.md.\n"
        "\n"
        "  --url=https://HOST:PORT  where controld is\n"
        "  --ca-file=FILE           the CA of its certificate\n"
        "  --token=TOKEN            of a person who may make keys, pipes and runs; better in "
        "$SLUICE_TOKEN\n"
        "\n"
        "Bounds, all required:\n"
        "  --agents=N               how many agents\n"
        "  --runs=N                 how many runs to create once all agents wait; 0: none\n"
        "  --seconds=N              the longest that it may take from then on; with --runs=0, how "
        "long to wait\n"
        "\n"
        "Agents:\n"
        "  --slots=N                of each agent (default 16)\n"
        "  --task-usec=SPAN         how long a task takes, as 5ms (default 0: it has ended when it "
        "starts)\n"
        "  --log-bytes=N            ship a log of so many bytes with each attempt (default 0: "
        "none)\n"
        "  --parallel=N             connect and enrol so many at a time (default 128)\n"
        "  --identities=FILE        take agents enrolled earlier from this file, and add new ones "
        "to it\n"
        "  --goodbye=BOOL           say goodbye in the end (default no: it takes each another "
        "connection)\n"
        "  --label=LABEL            of the agents, and what the pipe asks for (default swarm)\n"
        "\n"
        "Runs:\n"
        "  --project=NAME           (default default)\n"
        "  --pipe=NAME              deployed by the swarm (default swarm)\n"
        "  --rate=N                 create so many a second (default 0: as fast as it can)\n"
        "  --submitters=N           connections that create runs (default 8)\n"
        "  --window=N               at most so many runs that have not ended (default 0: twice the "
        "slots of all)\n"
        "  --settle-sec=N           wait so long before the first run (default 0)\n"
        "  --cancel=PERCENT         of the runs, when the agent has said that they run\n"
        "\n"
        "Faults, each a part of a hundred:\n"
        "  --lose=PERCENT           of requests: the connection is closed before the answer is "
        "read\n"
        "  --repeat=PERCENT         of events requests: said twice\n"
        "  --refuse=PERCENT         of assignments: refused, to be queued again\n"
        "  --delay=PERCENT          of requests: sent later, by up to\n"
        "  --delay-usec=SPAN        (default 100ms)\n"
        "  --seed=N                 of all choices (default 1)\n"
        "\n"
        "  --output=json            one JSON object a line for each phase, figures in the last\n"
        "  --help                   print this\n";

#define NUMBER(key, option, member, fallback, low, high)                                           \
        { "Swarm", key, option, CONFIG_U32, offsetof(Options, member), fallback, low, high }
#define TEXT(key, option, member, fallback)                                                        \
        { "Swarm", key, option, CONFIG_TEXT, offsetof(Options, member), fallback }

static const ConfigField fields[] = {
        TEXT("URL", "url", url, ""),
        TEXT("CAFile", "ca-file", ca_file, ""),
        TEXT("Token", "token", token, ""),
        TEXT("Identities", "identities", identities, ""),
        TEXT("Project", "project", project, "default"),
        TEXT("Pipe", "pipe", pipe, "swarm"),
        TEXT("Label", "label", label, "swarm"),
        TEXT("Output", "output", output, "text"),
        NUMBER("Agents", "agents", agents, "0", 0, 100000),
        NUMBER("Runs", "runs", runs, "4294967295", 0, UINT32_MAX),
        NUMBER("Seconds", "seconds", seconds, "0", 0, 86400),
        NUMBER("Slots", "slots", slots, "16", 1, 1000),
        NUMBER("Rate", "rate", rate, "0", 0, 1000000),
        NUMBER("Submitters", "submitters", submitters, "8", 1, 1000),
        NUMBER("Window", "window", window, "0", 0, 10000000),
        NUMBER("Parallel", "parallel", parallel, "128", 1, 100000),
        NUMBER("SettleSec", "settle-sec", settle_sec, "0", 0, 86400),
        NUMBER("Seed", "seed", seed, "1", 0, UINT32_MAX),
        NUMBER("LogBytes", "log-bytes", log_bytes, "0", 0, 512 * 1024),
        NUMBER("Lose", "lose", lose, "0", 0, 100),
        NUMBER("Repeat", "repeat", repeat, "0", 0, 100),
        NUMBER("Refuse", "refuse", refuse, "0", 0, 90),
        NUMBER("Delay", "delay", delay, "0", 0, 100),
        NUMBER("Cancel", "cancel", cancel, "0", 0, 100),
        { "Swarm", "Goodbye", "goodbye", CONFIG_BOOL, offsetof(Options, goodbye), "no" },
        { "Swarm", "TaskUsec", "task-usec", CONFIG_SPAN, offsetof(Options, task_usec), "0" },
        { "Swarm", "DelayUsec", "delay-usec", CONFIG_SPAN, offsetof(Options, delay_usec), "100ms" },
        {},
};

static int check(const Options *o, Error *e) {
        if (!o->url || !o->ca_file || !o->token)
                return error_set(e, -EINVAL, "usage",
                                 "--url=, --ca-file= and a token are required; see --help.");
        if (o->agents == 0 || o->runs == UINT32_MAX || o->seconds == 0)
                return error_set(e, -EINVAL, "usage",
                                 "--agents=, --runs= and --seconds= are required; see --help.");
        if (!str_eq(o->output, "text") && !str_eq(o->output, "json"))
                return error_set(e, -EINVAL, "usage", "--output= is text or json.");
        if (!o->project || !o->pipe || !o->label)
                return error_set(e, -EINVAL, "usage",
                                 "--project=, --pipe= and --label= cannot be empty.");
        return 0;
}

int options_load(Options *o, int argc, char **argv, Error *e) {
        static const ConfigFile files[] = { {} };
        int r;

        for (int i = 1; i < argc; i++)
                if (str_eq(argv[i], "--help")) {
                        (void) fputs(help, stdout);
                        return 1;
                }
        r = config_load(fields, files, &argc, argv, o, e);
        if (r == 0 && argc > 1)
                return error_set(e, -EINVAL, "usage", "Unknown argument %s; see --help.", argv[1]);
        return r != 0 ? r : check(o, e);
}

void options_done(Options *o) {
        config_clear(fields, o);
}

bool options_json(const Options *o) {
        return str_eq(o->output, "json");
}
