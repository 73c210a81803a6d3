/* What the files of the agents share. */
#pragma once

#include "id.h"
#include "proto.h"
#include "swarm-agent.h"

#define PAST 64U

enum {
        OWES_RUNNING = 1,
        OWES_ENDED = 2,
        OWES_REFUSED = 4,
        OWES_LOGGED = 8,
};

typedef struct Agent Agent;

typedef struct Work {
        struct Work *next, **slot; /* the agent's list */
        Agent *agent;              /* borrowed: owns us */
        char attempt[ID_TEXT_SIZE], run[ID_TEXT_SIZE];
        Id run_id;
        uint32_t epoch;
        unsigned owed, sent;
        bool ended, stopping, held; /* held: runs until it is stopped */
        bool log_wanted;            /* the chunk comes before `logged` */
        uint64_t got_usec;
        Timer due;
} Work;

typedef struct Cleaned {
        struct Cleaned *next;
        char run[ID_TEXT_SIZE];
} Cleaned;

typedef enum TalkKind {
        TALK_NONE,
        TALK_EVENTS,
        TALK_CHUNK,
        TALK_GOODBYE,
} TalkKind;

struct Agent {
        Fleet *fleet; /* borrowed: owns us */
        Conn poll, talk;
        Timer poll_timer, talk_timer;
        Turn poll_turn, talk_turn;
        char instance[ID_TEXT_SIZE], session[ID_TEXT_SIZE], credential[64];
        Work *works; /* owned, as what follows */
        Cleaned *cleaned;
        Work *shipping; /* the one of TALK_CHUNK */
        char *last_report;
        char (*past)
                [ID_TEXT_SIZE]; /* a ring of what was finished lately: it may be offered once more by an answer on its way */
        unsigned n_past, poll_tries, talk_tries;
        uint64_t poll_sent_usec;
        TalkKind talking;
        bool enrolling, started, present, probing, saying_twice, poll_delayed, talk_delayed, gone;
        bool by_fault; /* we closed the poll's connection ourselves */
};

struct Fleet {
        FleetSpec spec;
        Agent *agents; /* owned, as what follows */
        char *key;
        char *chunk;
        size_t chunk_size;
        char chunk_query[256];
        unsigned n, present, next, under_way, most_lost, leave_next, n_gone, strangers;
        unsigned long works;
        uint64_t lost_usec, random;
        bool leaving, full;
};

/* agent */
bool fleet_chance(Fleet *f, uint32_t percent);
uint64_t fleet_random(Fleet *f, uint64_t below);
uint64_t fleet_backoff(Fleet *f, unsigned tries);
void agent_take_work(Agent *a, const ProtoWork *work);
/* poll */
void agent_poll_init(Agent *a);
void agent_poll_start(Agent *a);
/* talk */
void agent_talk_init(Agent *a);
void agent_talk_kick(Agent *a);
void agent_goodbye(Agent *a);
/* work */
Work *work_find(Agent *a, const char *attempt);
int work_new(Agent *a, const ProtoAssignment *given);
Work *work_free(Work *w);
void work_stop(Work *w);
void work_settle(Work *w); /* after owed has shrunk: frees it when nothing is left to say */
