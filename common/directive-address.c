/* Values about networks: lists of addresses, and what a socket may be bound to. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "directive-types.h"
#include "parse.h"
#include "str.h"
#include "strv.h"

static const struct {
        const char *name, *ipv4, *ipv6;
} known[] = {
        { "any", "0.0.0.0/0", "::/0" },
        { "localhost", "127.0.0.0/8", "::1/128" },
        { "link-local", "169.254.0.0/16", "fe80::/64" },
        { "multicast", "224.0.0.0/4", "ff00::/8" },
};

static int add_address(const char *text, size_t array, Atoms *to) {
        _cleanup_(freep) char *address = strndup(text, strcspn(text, "/"));
        int family = strchr(text, ':') ? AF_INET6 : AF_INET;
        uint64_t all = family == AF_INET6 ? 128 : 32, prefix = all;
        const char *slash = strchr(text, '/');
        unsigned char bytes[16];

        if (!address)
                return -ENOMEM;
        if (inet_pton(family, address, bytes) != 1 ||
            (slash && parse_u64_range(slash + 1, 0, all, &prefix) < 0))
                return -EINVAL;
        atoms_element(to, array);
        atoms_number(to, (uint64_t) family);
        atoms_bytes(to, bytes, all / 8);
        atoms_number(to, prefix);
        return 0;
}

int decode_addresses(const Directive *d, const char *value, Atoms *to, Error *e) {
        _cleanup_(strv_freep) char **words = NULL;
        size_t array, before = to->count;
        int r = strv_split(value, " \t", &words);

        if (r < 0)
                return r;
        directive_property(d, to);
        array = atoms_array(to);
        STRV_FOREACH(w, words) {
                bool found = false;

                for (size_t i = 0; r >= 0 && i < ELEMENTSOF(known); i++) {
                        if (!str_eq(known[i].name, *w))
                                continue;
                        found = true;
                        r = add_address(known[i].ipv4, array, to);
                        r = r < 0 ? r : add_address(known[i].ipv6, array, to);
                }
                if (r >= 0 && !found)
                        r = add_address(*w, array, to);
        }
        if (r >= 0)
                return 0;
        atoms_cut(to, before);
        return r == -ENOMEM ? r
                            : error_set(e, r, "bad-address",
                                        "addresses such as 10.0.0.0/8 or ::1, any, localhost, "
                                        "link-local or "
                                        "multicast are expected");
}

/* The number that the part stands for, moving *value behind it; 0 when it is something else. */
static uint64_t take_part(const char **value, const NamedNumber *names) {
        size_t n = strcspn(*value, ":");

        for (; names->name; names++)
                if (strlen(names->name) == n && strncmp(names->name, *value, n) == 0) {
                        *value += n + ((*value)[n] == ':');
                        return names->number;
                }
        return 0;
}

static int ports_parse(const char *s, uint64_t *ret_first, uint64_t *ret_last) {
        _cleanup_(freep) char *first = strndup(s, strcspn(s, "-"));
        const char *dash = strchr(s, '-');

        if (!first)
                return -ENOMEM;
        if (parse_u64_range(first, 1, UINT16_MAX, ret_first) < 0)
                return -EINVAL;
        return parse_u64_range(dash ? dash + 1 : first, *ret_first, UINT16_MAX, ret_last);
}

/* A count of no ports stands for all of them. */
int decode_socket(const Directive *d, const char *value, Atoms *to, Error *e) {
        static const NamedNumber families[] = { { "ipv4", AF_INET }, { "ipv6", AF_INET6 }, {} };
        static const NamedNumber protocols[] = { { "tcp", IPPROTO_TCP },
                                                 { "udp", IPPROTO_UDP },
                                                 {} };
        const char *rest = value;
        uint64_t family = take_part(&rest, families), protocol = take_part(&rest, protocols);
        uint64_t first = 0, last = 0;
        size_t array;
        bool ports = *rest && !str_eq(rest, "any");

        if (ports && ports_parse(rest, &first, &last) < 0)
                return error_set(e, -EINVAL, "bad-socket",
                                 "[ipv4:|ipv6:][tcp:|udp:]PORT[-PORT], or any, is expected");
        directive_property(d, to);
        array = atoms_array(to);
        if (!*value)
                return 0;
        atoms_element(to, array);
        atoms_number(to, family);
        atoms_number(to, protocol);
        atoms_number(to, ports ? last - first + 1 : 0);
        atoms_number(to, first);
        return 0;
}
