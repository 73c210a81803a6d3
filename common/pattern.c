/* A regular expression becomes a small program whose threads all go through the value together (Thompson's way): no backtracking, so
 * no expression takes longer than its size times the length of the value. */
#include "pattern.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "str.h"

#define PROGRAM_MAX 2000
#define RANGES_MAX 512
#define DEPTH_MAX 32
#define REPEAT_MAX 255 /* PostgreSQL's */
#define LAST_CHARACTER 0x10ffffU

typedef enum Op {
        OP_SET,   /* a character in (or, negated, outside) some ranges */
        OP_BEGIN, /* the beginning of the value */
        OP_END,
        OP_JUMP,  /* x */
        OP_SPLIT, /* both x and y */
        OP_MATCH,
} Op;

/* Jumps are relative, so that a piece of program can be copied. */
typedef struct Instruction {
        Op op;
        int x, y; /* of a set: its first range, and how many */
        bool negated;
} Instruction;

typedef struct Range {
        uint32_t low, high;
} Range;

struct Pattern {
        Instruction program[PROGRAM_MAX];
        int size;
        Range ranges[RANGES_MAX];
        int n_ranges;
};

typedef struct Reader {
        Pattern *p;    /* borrowed: the caller's */
        const char *s; /* what is next */
        unsigned depth;
        Error *e;
} Reader;

static int refuse(Reader *r, const char *words) {
        return error_set(r->e, -EINVAL, "bad-pattern", "%s", words);
}

static int emit(Reader *r, Instruction i) {
        if (r->p->size >= PROGRAM_MAX - 1)
                return error_set(r->e, -E2BIG, "bad-pattern",
                                 "the regular expression is too large with its repetitions");
        r->p->program[r->p->size++] = i;
        return 0;
}

/* Makes room for one instruction before what has been written from `at` on. */
static int emit_before(Reader *r, int at, Instruction i) {
        Instruction *program = r->p->program;
        int e = emit(r, i);

        if (e < 0)
                return e;
        (void) memmove(&program[at + 1], &program[at],
                       (size_t) (r->p->size - 1 - at) * sizeof(*program));
        program[at] = i;
        return 0;
}

static int add_range(Reader *r, uint32_t low, uint32_t high) {
        if (r->p->n_ranges >= RANGES_MAX)
                return error_set(r->e, -E2BIG, "bad-pattern",
                                 "the regular expression names too many characters");
        r->p->ranges[r->p->n_ranges++] = (Range){ low, high };
        return 0;
}

/* The character at *s, which is valid UTF-8 and not at its end, moving behind it. */
static uint32_t next_character(const char **s) {
        const unsigned char *p = (const unsigned char *) *s;
        unsigned more = *p < 0x80 ? 0 : *p < 0xe0 ? 1 : *p < 0xf0 ? 2 : 3;
        uint32_t c = more == 0 ? *p : *p & (0x3fU >> more);

        for (unsigned i = 1; i <= more; i++)
                c = c << 6 | (p[i] & 0x3fU);
        *s += more + 1;
        return c;
}

static const struct {
        char letter;
        unsigned n;
        Range ranges[4];
} classes[] = {
        { 'd', 1, { { '0', '9' } } },
        { 'w', 4, { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } } },
        { 's', 2, { { '\t', '\r' }, { ' ', ' ' } } },
};

/* The ranges of \d, \w or \s; 0 when the letter is none of them. */
static int add_class(Reader *r, char letter) {
        for (size_t i = 0; i < ELEMENTSOF(classes); i++) {
                int e = 0;

                if (classes[i].letter != letter)
                        continue;
                for (unsigned k = 0; e >= 0 && k < classes[i].n; k++)
                        e = add_range(r, classes[i].ranges[k].low, classes[i].ranges[k].high);
                return e < 0 ? e : 1;
        }
        return 0;
}

static bool is_punctuation(char c) {
        return c && strchr("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", c);
}

/* Behind a backslash, outside of brackets. */
static int read_escape(Reader *r, Instruction *set) {
        char c = *r->s++;
        int e = add_class(r, (char) (c | 0x20));

        if (e > 0) {
                set->negated = c < 'a';
                return 0;
        }
        if (e == 0 && is_punctuation(c))
                return add_range(r, (unsigned char) c, (unsigned char) c);
        return e < 0 ? e
                     : refuse(r, "of letters and digits, only \\d \\w \\s \\D \\W \\S may stand "
                                 "behind a backslash");
}

/* One character of brackets; 1 when it was a class, which begins and ends no range. */
static int read_member(Reader *r, uint32_t *ret) {
        int e;

        if (!*r->s)
                return refuse(r, "] is missing");
        if (*r->s == '[')
                return refuse(r, "[ within brackets wants a backslash");
        if (*r->s != '\\') {
                *ret = next_character(&r->s);
                return 0;
        }
        e = add_class(r, r->s[1]);
        if (e == 0 && !is_punctuation(r->s[1]))
                return refuse(r,
                              "within brackets, of letters and digits only \\d \\w \\s may stand "
                              "behind a backslash");
        *ret = (unsigned char) r->s[1];
        r->s += 2;
        return e;
}

static int read_brackets(Reader *r, Instruction *set) {
        if (*r->s == '^') {
                set->negated = true;
                r->s++;
        }
        if (*r->s == ']')
                return refuse(r, "[] is empty; \\] is a bracket");
        while (*r->s != ']') {
                uint32_t low = 0, high;
                int e = read_member(r, &low);

                if (e > 0)
                        continue;
                high = low;
                if (e >= 0 && r->s[0] == '-' && r->s[1] != ']') {
                        r->s++;
                        e = read_member(r, &high);
                        if (e > 0 || (e == 0 && high < low))
                                return refuse(r, "a range in brackets goes from the lower to the "
                                                 "higher character");
                }
                if (e >= 0)
                        e = add_range(r, low, high);
                if (e < 0)
                        return e;
        }
        r->s++;
        return 0;
}

static int read_choice(Reader *r);

static int read_group(Reader *r) {
        int e;

        if (++r->depth > DEPTH_MAX)
                return refuse(r, "parentheses are nested too deeply");
        if (*r->s == '?' && r->s[1] != ':')
                return refuse(r, "of (?…), only (?:…) is known");
        r->s += *r->s == '?' ? 2 : 0;
        e = read_choice(r);
        if (e >= 0 && *r->s != ')')
                return refuse(r, ") is missing");
        r->s++;
        r->depth--;
        return e;
}

/* Returns 1 for what cannot be repeated. */
static int read_atom(Reader *r) {
        Instruction set = { .op = OP_SET, .x = r->p->n_ranges };
        const char *begin = r->s++;
        int e;

        switch (*begin) {
        case '(':
                return read_group(r);
        case '^':
        case '$':
                e = emit(r, (Instruction){ .op = *begin == '^' ? OP_BEGIN : OP_END });
                return e < 0 ? e : 1;
        case '*':
        case '+':
        case '?':
        case '{':
                return refuse(r,
                              "there is nothing to repeat; a backslash before *, +, ? or { makes "
                              "it a character");
        case '.':
                e = add_range(r, 1, LAST_CHARACTER);
                break;
        case '[':
                e = read_brackets(r, &set);
                break;
        case '\\':
                e = read_escape(r, &set);
                break;
        default: {
                uint32_t c;

                r->s = begin;
                c = next_character(&r->s);
                e = add_range(r, c, c);
        }
        }
        set.y = r->p->n_ranges - set.x;
        return e < 0 ? e : emit(r, set);
}

static int read_number(Reader *r, int *ret) {
        int n = 0;

        if (*r->s < '0' || *r->s > '9')
                return refuse(r, "{ wants a number, or a backslash before it");
        while (*r->s >= '0' && *r->s <= '9' && n <= REPEAT_MAX)
                n = n * 10 + (*r->s++ - '0');
        if (n > REPEAT_MAX)
                return refuse(r, "more than 255 repetitions");
        *ret = n;
        return 0;
}

/* How often: *high below zero for any number. 0 when nothing is said. */
static int read_quantifier(Reader *r, int *low, int *high) {
        int e;

        switch (*r->s) {
        case '*':
        case '+':
        case '?':
                *low = *r->s == '+';
                *high = *r->s == '?' ? 1 : -1;
                r->s++;
                return 1;
        case '{':
                r->s++;
                e = read_number(r, low);
                *high = *low;
                if (e >= 0 && *r->s == ',') {
                        r->s++;
                        *high = -1;
                        if (*r->s != '}')
                                e = read_number(r, high);
                }
                if (e >= 0 && (*r->s != '}' || (*high >= 0 && *high < *low)))
                        return refuse(r, "{n}, {n,} or {n,m} is expected, with n not above m");
                r->s++;
                return e < 0 ? e : 1;
        default:
                return 0;
        }
}

static int emit_copy(Reader *r, const Instruction *piece, int n) {
        int e = 0;

        for (int i = 0; e >= 0 && i < n; i++)
                e = emit(r, piece[i]);
        return e;
}

/* The piece from `at` on, as often as said. */
static int repeat(Reader *r, int at, int low, int high) {
        int n = r->p->size - at, e = 0;
        _cleanup_(freep) Instruction *piece = calloc((size_t) n + 1, sizeof(*piece));

        if (!piece)
                return -ENOMEM;
        (void) memcpy(piece, &r->p->program[at], (size_t) n * sizeof(*piece));
        r->p->size = at;
        for (int i = 0; e >= 0 && i < low; i++)
                e = emit_copy(r, piece, n);
        if (e >= 0 && high < 0) {
                e = emit(r, (Instruction){ .op = OP_SPLIT, .x = 1, .y = n + 2 });
                e = e < 0 ? e : emit_copy(r, piece, n);
                return e < 0 ? e : emit(r, (Instruction){ .op = OP_JUMP, .x = -(n + 1) });
        }
        for (int i = low; e >= 0 && i < high; i++) {
                e = emit(r, (Instruction){ .op = OP_SPLIT, .x = 1, .y = (high - i) * (n + 1) });
                e = e < 0 ? e : emit_copy(r, piece, n);
        }
        return e;
}

static int read_sequence(Reader *r) {
        if (!*r->s || *r->s == '|' || *r->s == ')')
                return refuse(r, "there is nothing before or behind |, or in parentheses");
        while (*r->s && *r->s != '|' && *r->s != ')') {
                int at = r->p->size, low = 1, high = 1;
                int e = read_atom(r);
                bool fixed = e > 0;

                if (e >= 0)
                        e = read_quantifier(r, &low, &high);
                if (e > 0 && fixed)
                        return refuse(r, "^ and $ cannot be repeated");
                if (e > 0)
                        e = repeat(r, at, low, high);
                if (e >= 0 && *r->s && strchr("*+?{", *r->s))
                        return refuse(r, "a repetition cannot be repeated, nor made lazy");
                if (e < 0)
                        return e;
        }
        return 0;
}

/* One way, or the other: SPLIT one, JUMP behind, other. */
static int read_choice(Reader *r) {
        int at = r->p->size;
        int e = read_sequence(r);

        while (e >= 0 && *r->s == '|') {
                int jump, n = r->p->size - at;

                r->s++;
                e = emit_before(r, at, (Instruction){ .op = OP_SPLIT, .x = 1, .y = n + 2 });
                jump = r->p->size;
                if (e >= 0)
                        e = emit(r, (Instruction){ .op = OP_JUMP });
                if (e >= 0)
                        e = read_sequence(r);
                if (e >= 0)
                        r->p->program[jump].x = r->p->size - jump;
        }
        return e;
}

int pattern_compile(const char *text, Pattern **ret, Error *e) {
        _cleanup_(pattern_freep) Pattern *p = calloc(1, sizeof(*p));
        Reader reader = { .p = p, .s = text, .e = e };
        int r;

        if (!p)
                return -ENOMEM;
        if (strlen(text) > PATTERN_TEXT_MAX || !str_is_utf8(text, strlen(text)))
                return error_set(e, -EINVAL, "bad-pattern",
                                 "a regular expression is UTF-8 text of at most %d bytes",
                                 PATTERN_TEXT_MAX);
        r = read_choice(&reader);
        if (r >= 0 && *reader.s)
                r = refuse(&reader, ") without (");
        if (r < 0)
                return r;
        p->program[p->size++] = (Instruction){ .op = OP_MATCH };
        *ret = TAKE_PTR(p);
        return 0;
}

Pattern *pattern_free(Pattern *p) {
        free(p);
        return NULL;
}

/* The instructions at which threads stand, each once. */
typedef struct Threads {
        int at[PROGRAM_MAX];
        int n;
        unsigned char seen[PROGRAM_MAX];
} Threads;

typedef struct Matcher {
        const Pattern *p; /* borrowed: the caller's */
        Threads threads[2];
        int stack[2 * PROGRAM_MAX];
} Matcher;

/* A thread at `from`, and wherever it goes without a character. True when that is the end of the program. */
static bool thread_add(Matcher *m, Threads *t, int from, bool at_begin, bool at_end) {
        int n = 0;

        m->stack[n++] = from;
        while (n > 0) {
                int at = m->stack[--n];
                const Instruction *i = &m->p->program[at];

                if (t->seen[at])
                        continue;
                t->seen[at] = 1;
                switch (i->op) {
                case OP_MATCH:
                        return true;
                case OP_SET:
                        t->at[t->n++] = at;
                        break;
                case OP_BEGIN:
                case OP_END:
                        if (i->op == OP_BEGIN ? at_begin : at_end)
                                m->stack[n++] = at + 1;
                        break;
                case OP_SPLIT:
                        m->stack[n++] = at + i->y;
                        m->stack[n++] = at + i->x;
                        break;
                case OP_JUMP:
                        m->stack[n++] = at + i->x;
                        break;
                }
        }
        return false;
}

static bool set_has(const Pattern *p, const Instruction *i, uint32_t c) {
        for (int k = i->x; k < i->x + i->y; k++)
                if (c >= p->ranges[k].low && c <= p->ranges[k].high)
                        return !i->negated;
        return i->negated;
}

int pattern_match(const Pattern *p, const char *value) {
        _cleanup_(freep) Matcher *m = calloc(1, sizeof(*m));
        Threads *now, *then;

        if (!m)
                return -ENOMEM;
        m->p = p;
        now = &m->threads[0];
        then = &m->threads[1];
        for (const char *s = value;;) {
                Threads *swap = now;
                uint32_t c;

                if (thread_add(m, now, 0, s == value, !*s))
                        return 1;
                if (!*s)
                        return 0;
                c = next_character(&s);
                (void) memset(then->seen, 0, (size_t) p->size);
                then->n = 0;
                for (int i = 0; i < now->n; i++)
                        if (set_has(p, &p->program[now->at[i]], c) &&
                            thread_add(m, then, now->at[i] + 1, false, !*s))
                                return 1;
                now = then;
                then = swap;
        }
}
