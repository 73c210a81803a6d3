/* The table of verbs, and what several verbs share. */
#include "verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "settings.h"
#include "str.h"
#include "strv.h"

#define WORDS_ANY 1000U
#define O(option) BIT(OPTION_##option)

static const struct {
        const char *verb, *noun; /* "pipe", "list"; noun NULL: the verb stands alone */
        unsigned min, max;       /* words behind */
        unsigned options;
        bool offline;
        int (*run)(Context *x);
        const char *usage, *help;
} verbs[] = {
        { "pipe", "deploy", 1, WORDS_ANY, 0, false, verb_pipe_deploy, "FILE...",
          "make the file's pipe known, or a new version of it" },
        { "pipe", "verify", 1, WORDS_ANY, O(ONLINE) | O(AGENT), true, verb_pipe_verify, "FILE...",
          "check pipe files, without a control plane; with --online also which agents suit them" },
        { "pipe", "render", 1, 1, O(TASK) | O(PARAM), true, verb_pipe_render, "FILE",
          "print the systemd-run command of each task" },
        { "pipe", "try", 1, 1, O(ON) | O(WAIT) | O(FOLLOW) | O(IDEMPOTENCY_KEY) | O(PARAM), false,
          verb_pipe_try, "FILE",
          "run a draft on the agent of --on=, without deploying it; otherwise as run" },
        { "pipe", "list", 0, 0, 0, false, verb_pipe_list, "", "list pipes" },
        { "pipe", "show", 1, 1, O(PIPE_VERSION), false, verb_pipe_show, "PIPE",
          "show a pipe as it was deployed" },
        { "pipe", "versions", 1, 1, 0, false, verb_pipe_versions, "PIPE",
          "list the versions of a pipe" },
        { "pipe", "history", 1, 1, 0, false, verb_pipe_history, "PIPE",
          "list which version was current when" },
        { "pipe", "diff", 1, WORDS_ANY, 0, false, verb_pipe_diff, "FILE...",
          "show how files differ from what is deployed" },
        { "pipe", "rollback", 1, 1, O(PIPE_VERSION), false, verb_pipe_rollback, "PIPE",
          "make the version before, or another one, current again" },
        { "plan", NULL, 1, WORDS_ANY, 0, false, verb_plan, "PATH...",
          "show what apply would do with pipe files, and with those of directories" },
        { "apply", NULL, 1, WORDS_ANY, 0, false, verb_apply, "PATH...",
          "deploy those of them that are new or changed" },
        { "schedule", "list", 0, 0, O(PIPE), false, verb_schedule_list, "",
          "list schedules, when they were due last, and when next" },
        { "schedule", "show", 1, 2, 0, false, verb_schedule_show, "PIPE [SCHEDULE]",
          "show a schedule and its rules" },
        { "schedule", "preview", 1, 2, O(LIMIT), false, verb_schedule_preview,
          "FILE|PIPE [SCHEDULE]", "list when it will be due, and what the clocks do to it" },
        { "schedule", "history", 1, 2, O(LIMIT), false, verb_schedule_history, "PIPE [SCHEDULE]",
          "list due times, and their runs or why there is none" },
        { "schedule", "pause", 1, 2, O(REASON) | O(FOR), false, verb_schedule_pause,
          "PIPE [SCHEDULE]", "skip what is due, until it is resumed or --for= is over" },
        { "schedule", "resume", 1, 2, 0, false, verb_schedule_resume, "PIPE [SCHEDULE]",
          "run again at the next due time" },
        { "schedule", "backfill", 1, 2,
          O(FROM) | O(TO) | O(CONCURRENCY) | O(AGAIN) | O(DRY_RUN) | O(PARAM) | O(IDEMPOTENCY_KEY),
          false, verb_schedule_backfill, "PIPE [SCHEDULE]",
          "make the runs of past due times, the oldest first" },
        { "backfill", "list", 1, 2, 0, false, verb_backfill_list, "PIPE [SCHEDULE]",
          "list the backfills of a schedule, and how far they are" },
        { "backfill", "show", 1, 1, 0, false, verb_backfill_show, "BACKFILL",
          "show a backfill and its due times" },
        { "backfill", "cancel", 1, 1, 0, false, verb_backfill_cancel, "BACKFILL",
          "begin no more runs of a backfill" },
        { "events", NULL, 0, 0, O(LIMIT), false, verb_events, "",
          "list what there was to hear of: schedules that were late, and are not any more" },
        { "start", NULL, 1, 1, 0, false, verb_start, "PIPE",
          "have a streaming pipe run from now on" },
        { "stop", NULL, 1, 1, 0, false, verb_stop, "PIPE", "stop a streaming pipe" },
        { "restart", NULL, 1, 1, 0, false, verb_restart, "PIPE",
          "have another run of a streaming pipe take the place of this one" },
        { "run", "show", 1, 1, 0, false, verb_run_show, "RUN",
          "show a run, its tasks and their outcomes" },
        { "run", NULL, 1, 1, O(WAIT) | O(FOLLOW) | O(PIPE_VERSION) | O(IDEMPOTENCY_KEY) | O(PARAM),
          false, verb_run, "PIPE",
          "start a run; with --wait or --follow end with its task's exit status" },
        { "rerun", NULL, 1, 1,
          O(WAIT) | O(FOLLOW) | O(PIPE_VERSION) | O(IDEMPOTENCY_KEY) | O(ALL) | O(FROM) | O(SKIP),
          false, verb_rerun, "RUN", "start a run of what is left to do of one that is over" },
        { "runs", NULL, 0, 0, O(PIPE) | O(STATE) | O(TRIAL) | O(LIMIT), false, verb_runs, "",
          "list runs, the newest first" },
        { "cancel", NULL, 1, 1, O(WAIT), false, verb_cancel, "RUN", "stop a run" },
        { "logs", NULL, 1, 1, O(FOLLOW) | O(TASK), false, verb_logs, "RUN",
          "show what the tasks of a run have said" },
        { "explain", NULL, 1, 1, 0, false, verb_explain, "RUN|AGENT",
          "say why a run waits or ended so, or what an agent does" },
        { "agents", NULL, 0, 0, 0, false, verb_agents, "", "list agents and their status" },
        { "agent", "show", 1, 1, 0, false, verb_agent_show, "AGENT", "show an agent" },
        { "agent", "create", 1, 1, O(TYPE) | O(LABELS), false, verb_agent_create, "NAME",
          "make an agent that a host joins with an API key" },
        { "agent", "drain", 1, 1, O(REASON) | O(DEADLINE), false, verb_agent_drain, "AGENT",
          "give an agent nothing new, until it is resumed; with --deadline stop what still runs" },
        { "agent", "pause", 1, 1, O(REASON), false, verb_agent_pause, "AGENT",
          "give an agent nothing new for a while" },
        { "agent", "resume", 1, 1, 0, false, verb_agent_resume, "AGENT",
          "end a pause, a drain or a quarantine" },
        { "agent", "delete", 1, 1, O(FORCE), false, verb_agent_delete, "AGENT",
          "forget an agent and its credential" },
        { "key", "create", 0, 0,
          O(TYPE) | O(AGENT) | O(USES) | O(EXPIRES) | O(LABELS) | O(AGENT_TYPE) | O(DESCRIPTION),
          false, verb_key_create, "", "make a key that hosts join with; it is shown once" },
        { "key", "list", 0, 0, 0, false, verb_key_list, "", "list keys" },
        { "key", "revoke", 1, 1, 0, false, verb_key_revoke, "KEY",
          "let nobody join with this key any more" },
        { "webhook", "create", 2, 2, O(TYPE) | O(PARAM) | O(PARAM_FROM), false, verb_webhook_create,
          "PIPE NAME",
          "have another system's signed messages start runs; its secret is shown once" },
        { "webhook", "list", 0, 0, O(PIPE), false, verb_webhook_list, "",
          "list webhooks, and what they brought last" },
        { "webhook", "history", 1, 1, O(LIMIT), false, verb_webhook_history, "WEBHOOK",
          "list messages, and their runs or why there is none" },
        { "webhook", "delete", 1, 1, 0, false, verb_webhook_delete, "WEBHOOK",
          "let nothing come through it any more" },
        { "projects", NULL, 0, 0, 0, false, verb_projects, "", "list projects" },
        { "project", "create", 1, 1, 0, false, verb_project_create, "NAME", "make a project" },
        { "project", "limit", 2, 2, 0, false, verb_project_limit, "NAME MAX",
          "have at most MAX runs of a project at once, or none: any number" },
        { "project", "param", 1, WORDS_ANY, 0, false, verb_project_param,
          "NAME [PARAMETER=[VALUE]...]",
          "show the values that a project gives to parameters, or set and, without VALUE, unset "
          "some" },
        { "status", NULL, 0, 0, 0, false, verb_status, "",
          "show whether the control plane works, and how its fleet is" },
};

static const char options_help[] =
        "\nOptions:\n"
        "  -o --output=FORMAT     table or json; for logs: short, cat, json or export\n"
        "  -w --wait              run, rerun, pipe try, cancel: wait for the end of the run\n"
        "  -f --follow            run, rerun, pipe try, logs: show lines as they come, to the\n"
        "                         end\n"
        "     --online            pipe verify: ask the control plane, too\n"
        "     --on=AGENT[/INSTANCE]\n"
        "                         pipe try: there; the instance by its id or its host\n"
        "  -t --task=TASK         logs, pipe render: of this task only\n"
        "  -p --pipe=PIPE         runs, schedule list, webhook list: of this pipe only\n"
        "     --state=STATE       runs: in this state only\n"
        "     --trial=BOOLEAN     runs: trials of drafts only, or none of them\n"
        "  -n --limit=NUMBER      runs, events, schedule history, webhook history: at most\n"
        "                         as many (default 20);\n"
        "                         schedule preview: so many of each schedule (default 10)\n"
        "     --pipe-version=TEXT run, rerun, pipe show, pipe rollback: this version\n"
        "     --param=NAME=VALUE  run, pipe try, pipe render, webhook create, schedule\n"
        "                         backfill: the value of a parameter; may be repeated\n"
        "     --param-from=NAME=POINTER\n"
        "                         webhook create: where in the message the value is, as\n"
        "                         \"day=/data/day\"; may be repeated\n"
        "     --idempotency-key=KEY\n"
        "                         run, rerun, pipe try, schedule backfill: the same key\n"
        "                         again starts no second one\n"
        "     --all               rerun: also what has succeeded\n"
        "     --from=TASKS        rerun: also these, as \"a,b\", and what comes after them;\n"
        "                         schedule backfill: from this time on, as \"2024-03-01 02:00\"\n"
        "     --to=TIME           schedule backfill: before this time (default now)\n"
        "     --concurrency=NUMBER\n"
        "                         schedule backfill: so many runs at a time (default 1)\n"
        "     --again             schedule backfill: also due times that have had a run\n"
        "     --dry-run           schedule backfill: only show what would run\n"
        "     --skip=TASKS        rerun: not these; what comes after them goes on\n"
        "     --type=TYPE         key create: enrolment or api; agent create: batch or streaming;\n"
        "                         webhook create: how messages are signed, standard or github\n"
        "     --agent=NAME        key create --type=api: for this agent; may be repeated; pipe\n"
        "                         verify: say it of this one only\n"
        "     --agent-type=TYPE   key create: type of the agents that join with it\n"
        "     --labels=LABELS     key create, agent create: as \"region=eu, warehouse\"\n"
        "     --uses=NUMBER       key create: how often it may be used\n"
        "     --expires=SPAN      key create: for how long, as \"2h\" or \"30d\"\n"
        "     --description=TEXT  key create: a note\n"
        "     --reason=TEXT       agent drain, agent pause, schedule pause: why, for those\n"
        "                         who ask later\n"
        "     --for=SPAN          schedule pause: for how long, as \"2h\" or \"3d\"\n"
        "     --deadline=SPAN     agent drain: stop after that what still runs, as \"10min\"\n"
        "     --force             agent delete: also while it has tasks\n"
        "     --project=NAME      the project of pipes and runs (SLUICE_PROJECT)\n"
        "     --url=URL           where the control plane is (SLUICE_URL)\n"
        "     --cafile=FILE       who signed its certificate (SLUICE_CAFILE)\n"
        "     --token-file=FILE   a file with the token; else SLUICE_TOKEN\n"
        "     --no-color          no colours (NO_COLOR)\n"
        "     --print-config      print each setting with its value and where it came from\n"
        "  -h --help              print this\n"
        "     --version           print the version\n";

static int print_help(void) {
        (void) puts("usage: sluicectl [OPTIONS] COMMAND ...\n\n"
                    "Deploys and runs the pipes of a Sluice fleet, see sluicectl(1).\n\nCommands:");
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
                _cleanup_(freep) char *left =
                        str_format("%s%s%s %s", verbs[i].verb, verbs[i].noun ? " " : "",
                                   verbs[i].noun ? verbs[i].noun : "", verbs[i].usage);

                (void) printf("  %-22s", left ? left : verbs[i].verb);
                if (left && strlen(left) > 22)
                        (void) printf("\n%-24s", "");
                (void) printf(" %s\n", verbs[i].help);
        }
        (void) fputs(options_help, stdout);
        return EXIT_SUCCESS;
}

/* The second word of the verb is missing or wrong. */
static int complain_noun(const char *verb, const char *word) {
        Buffer nouns = {};
        const char *nearest = NULL;
        unsigned best = 3;

        for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
                unsigned distance;

                if (!str_eq(verbs[i].verb, verb) || !verbs[i].noun)
                        continue;
                (void) buffer_printf(&nouns, "%s%s", nouns.size > 0 ? ", " : "", verbs[i].noun);
                distance = word ? str_distance(word, verbs[i].noun) : best;
                if (distance < best) {
                        best = distance;
                        nearest = verbs[i].noun;
                }
        }
        if (nearest)
                (void) complain(0, "Unknown command \"%s %.40s\"; did you mean \"%s %s\"?", verb,
                                word, verb, nearest);
        else if (word)
                (void) complain(0, "Unknown command \"%s %.40s\"; after %s comes one of: %s.", verb,
                                word, verb, nouns.data);
        else
                (void) complain(0, "After %s comes one of: %s.", verb, nouns.data);
        buffer_done(&nouns);
        return EXIT_FAILURE;
}

static int complain_usage(const char *word, const char *next) {
        const char *nearest = NULL;
        unsigned best = 3;

        for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
                unsigned distance = str_distance(word, verbs[i].verb);

                if (distance == 0)
                        return complain_noun(word, next);
                if (distance < best) {
                        best = distance;
                        nearest = verbs[i].verb;
                }
        }
        if (nearest)
                return complain(EXIT_FAILURE, "Unknown command \"%.40s\"; did you mean \"%s\"?",
                                word, nearest);
        return complain(EXIT_FAILURE, "Unknown command \"%.40s\"; see sluicectl --help.", word);
}

/* The verb that the words are; negative when there is none. */
static int find_verb(char *const *words) {
        int alone = -1;

        for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
                if (!str_eq(verbs[i].verb, words[0]))
                        continue;
                if (!verbs[i].noun)
                        alone = (int) i;
                else if (str_eq(verbs[i].noun, words[1]))
                        return (int) i;
        }
        return alone;
}

static int check_verb(size_t i, const Arguments *a, size_t words) {
        for (int o = 0; o < _OPTION_MAX; o++)
                if (a->values[o] && o != OPTION_OUTPUT && !(verbs[i].options & BIT(o)))
                        return complain(-EINVAL, "%s does not go with \"%s%s%s\".", option_name(o),
                                        verbs[i].verb, verbs[i].noun ? " " : "",
                                        verbs[i].noun ? verbs[i].noun : "");
        if (words < verbs[i].min || words > verbs[i].max)
                return complain(-EINVAL, "usage: sluicectl %s%s%s %s", verbs[i].verb,
                                verbs[i].noun ? " " : "", verbs[i].noun ? verbs[i].noun : "",
                                verbs[i].usage);
        return 0;
}

static int check_output(Context *x) {
        static const char *const formats[] = { "table", "json", "short", "cat", "export" };
        const char *output = option_value(x, OPTION_OUTPUT);
        bool logs = str_eq(x->arguments->words[0], "logs");
        size_t known = 0;

        while (known < ELEMENTSOF(formats) && !str_eq(formats[known], output))
                known++;
        if (output &&
            (known == ELEMENTSOF(formats) || (known == 0 && logs) || (known > 1 && !logs)))
                return complain(-EINVAL, "--output=%.40s is not one of %s.", output,
                                logs ? "short, cat, json, export" : "table, json");
        x->json = str_eq(output, "json");
        return 0;
}

static int run_verb(const Arguments *a, const Settings *s) {
        _cleanup_(client_freep) Client *client = NULL;
        int i = find_verb(a->words), r;
        Context x = { .arguments = a, .settings = s };
        Error e = {};

        if (i < 0)
                return complain_usage(a->words[0], a->words[1]);
        x.words = a->words + (verbs[i].noun ? 2 : 1);
        if (check_verb((size_t) i, a, strv_length(x.words)) < 0 || check_output(&x) < 0)
                return EXIT_FAILURE;
        if (!verbs[i].offline || a->values[OPTION_ONLINE]) {
                r = client_new(s, &client, &e);
                if (r < 0)
                        return complain(EXIT_FAILURE, "%s", error_text(&e, r));
        }
        x.client = client;
        r = verbs[i].run(&x);
        if ((fflush(stdout) == EOF || ferror(stdout)) && r == EXIT_SUCCESS && errno == EPIPE)
                return EXIT_FAILURE; /* whoever reads has seen enough */
        if (ferror(stdout) && r == EXIT_SUCCESS)
                return complain(EXIT_FAILURE, "Cannot write the output: %s.", strerror(errno));
        return r;
}

/* What comes and goes is UTF-8, whatever the locale says. */
static void set_locale(void) {
        (void) setlocale(LC_ALL, "");
        if (!str_eq(nl_langinfo(CODESET), "UTF-8"))
                (void) setlocale(LC_CTYPE, "C.UTF-8");
}

/* Were standard output closed, a connection would take its place, and get the output. */
static int open_standard_descriptors(void) {
        for (int fd = 0; fd <= STDERR_FILENO; fd++)
                if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR | O_NOCTTY) != fd)
                        return -EBADF;
        return 0;
}

int sluicectl_main(int argc, char *argv[]) {
        Arguments a = {};
        Settings s = {};
        Error e = {};
        int r, status = EXIT_FAILURE;

        if (open_standard_descriptors() < 0)
                return EXIT_FAILURE;
        set_locale();
        log_setup_command("sluicectl");
        r = settings_load(&s, &argc, argv, &e);
        if (r > 0)
                return EXIT_SUCCESS;
        if (r >= 0)
                r = arguments_read(argc, argv, &a, &e);
        if (r < 0)
                status = complain(EXIT_FAILURE, "%s", error_text(&e, r));
        else if (a.no_color && setenv("NO_COLOR", "1", true) < 0)
                status = complain(EXIT_FAILURE, "Out of memory.");
        else if (a.help)
                status = print_help();
        else if (a.version)
                status = puts("sluicectl " PACKAGE_VERSION) == EOF;
        else if (!a.words)
                status = complain(EXIT_FAILURE, "What shall be done? See sluicectl --help.");
        else
                status = run_verb(&a, &s);
        arguments_done(&a);
        settings_done(&s);
        return status;
}
